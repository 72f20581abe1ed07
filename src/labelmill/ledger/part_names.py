"""Part names: which shards can have parts, and which shard a part's name was made from.

A part's name is the shard's and a little more (`receipt.part_name`), so two shards never share one;
but the folder of one shard may be the part of another.
"""

from collections.abc import Iterable, Mapping

from labelmill.errors import InputError
from labelmill.ledger import names
from labelmill.splits import Shard, split_id

_NAME_BYTES = 255  # a path component on every common file system
_INDEX_BYTES = len("-00000000.")  # room for a hundred million splits a shard


def parse_part(path: str, part_format: str) -> tuple[str, int] | None:
    """Shard and index that a part's name was made from; None where it is no part's name."""
    stem = path.removesuffix(f".{part_format}")
    shard, _, digits = stem.rpartition("-")
    if stem == path or not (digits.isascii() and digits.isdigit()):
        return None
    index = int(digits)
    return (shard, index) if shard and split_id(shard, index) == stem else None


def require_names(shards: Iterable[Shard], part_format: str) -> Mapping[str, Shard]:
    """The shards by path; raises InputError where two would clash, or one can have no part."""
    listed: dict[str, Shard] = {}
    for shard in shards:
        _require_name(shard, part_format)
        if shard.path in listed:
            raise InputError(
                f"two shards have the name {shard.path!r}: {listed[shard.path].url!r} and "
                f"{shard.url!r}; their parts would clash, so label them into two output directories"
            )
        listed[shard.path] = shard
    for path in listed:
        _require_folders(path, listed, part_format)
    return listed


def _require_name(shard: Shard, part_format: str) -> None:
    """A part's name is the shard's and a little more, and must not lie in the ledger."""
    folders = shard.path.split("/")
    room = _NAME_BYTES - _INDEX_BYTES - len(part_format)
    if len(folders[-1].encode("utf-8", "surrogatepass")) > room:
        raise InputError(
            f"the name of shard {shard.path!r} is too long for its parts: expected at most {room} "
            "bytes after the last '/'; rename the file"
        )
    if names.inside(shard.path) or any(folder in {"", ".", ".."} for folder in folders):
        raise InputError(
            f"shard {shard.path!r} has a name that no part can have: expected a relative path, "
            f"not below {names.ROOT!r}; rename the file or its folder"
        )


def _require_folders(path: str, listed: Mapping[str, Shard], part_format: str) -> None:
    """No folder of the shard may have the name of another one's part."""
    folder = path
    while folder := folder.rpartition("/")[0]:
        place = parse_part(folder, part_format)
        if place is not None and place[0] in listed:
            raise InputError(
                f"the folder {folder!r} of shard {path!r} has the name of a part of shard "
                f"{place[0]!r}; rename the folder"
            )
