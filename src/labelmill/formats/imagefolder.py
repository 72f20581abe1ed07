"""Imagefolder: pictures in folders, as `datasets` has them; the job has to name this format.

A shard is one folder, a row one of its files, in the order of their names; a position is a row's
number. Columns are `file_name`, `label` (the folder), `image`, and those of a metadata.csv, .jsonl
or .parquet beside the files or above; `ops.folder_rows` says more. The image itself is carried to
the output only where source.keep names it.
"""

from collections.abc import Iterator

from labelmill.formats import Inspection, ReadRequest, SplitRows
from labelmill.ops import folder_rows
from labelmill.ops.media_folders import MediaKind, look
from labelmill.ops.media_types import IMAGES
from labelmill.splits import Shard

SUFFIXES: tuple[str, ...] = ()
FOLDERS = MediaKind(word="image", endings=IMAGES)


def inspect(shard: Shard) -> Inspection:
    """Columns and rows by the listing and the metadata; raises InputError on damage of these."""
    rows = folder_rows.FolderRows(look(shard, FOLDERS), FOLDERS)
    aside = frozenset({FOLDERS.word})
    return Inspection(schema=rows.schema, rows=len(rows.names), whole=True, aside=aside)


def read(shard: Shard, request: ReadRequest) -> Iterator[SplitRows]:
    """The splits of the shard that are not done, by name; each file is read once."""
    for split, rows, breaks in folder_rows.read(
        shard, FOLDERS, request.rule, request.done, request
    ):
        yield SplitRows(split=split, rows=rows, breaks=breaks)


def count(shard: Shard) -> int:
    """Rows by the listing and the metadata; raises InputError on damage of these."""
    return len(folder_rows.FolderRows(look(shard, FOLDERS), FOLDERS).names)
