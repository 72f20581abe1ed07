"""Whether a shard is still the file, or the folder, that the run was planned with."""

from labelmill.errors import InputError
from labelmill.formats import Format
from labelmill.ops import plugins
from labelmill.ops.media_folders import look
from labelmill.splits import Shard
from labelmill.storage import Entry, FileMissing, open_store, split_url


def current(shard: Shard) -> Entry:
    """Size and version of the shard as it is now; raises FileMissing. Looks, does not read."""
    module: Format = plugins.load("labelmill.formats", shard.format)
    kind = getattr(module, "FOLDERS", None)
    if kind is None:
        parent, name = split_url(shard.url)
        return open_store(parent).stat(name)
    folder = look(shard, kind)
    if not folder.files:
        raise FileMissing(f"{shard.url!r} holds no files of kind {kind.word!r}")
    return Entry(path=shard.path, size=folder.size, version=folder.version)


def changed(shard: Shard) -> str | None:
    """What is different about the shard's file now; None if nothing is. Looks, does not read."""
    try:
        entry = current(shard)
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
