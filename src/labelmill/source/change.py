"""Whether a shard is still the file that the run was planned with."""

from labelmill.errors import InputError
from labelmill.splits import Shard
from labelmill.storage import FileMissing, open_store, split_url


def changed(shard: Shard) -> str | None:
    """What is different about the shard's file now; None if nothing is. Looks, does not read."""
    parent, name = split_url(shard.url)
    try:
        entry = open_store(parent).stat(name)
    except FileMissing:
        return f"{shard.url!r} is gone"
    if entry.size != shard.size:
        return f"its size was {shard.size} bytes, is {entry.size}"
    if entry.version != shard.version:
        return f"its version (time or etag) was {shard.version!r}, is {entry.version!r}"
    return None


def recheck(shard: Shard) -> None:
    """Raise InputError if the shard's file is another one than the run was planned with."""
    difference = changed(shard)
    if difference is not None:
        raise InputError(
            f"shard {shard.path!r} changed since the run was planned: {difference}; "
            "restore it, or label it in a new output directory"
        )
