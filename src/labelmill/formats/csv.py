"""CSV: records of cells between commas under a header, plain or compressed.

A row's position is the byte offset of its record in the decompressed stream. Cells are quoted as
RFC 4180 says, with newlines inside quotes; lines end with a newline, before which a carriage return
may stand. Every cell is a string as it stands: no number, date or null is guessed, and an empty
cell is an empty string. Blank lines are no rows. A record with another number of cells than the
header, with text after a closing quote, or that is not UTF-8, is a bad row and costs no other row;
`ops.csv_parsing` tells what an unclosed quote costs. A record may have 64 MiB.
"""

from collections.abc import Iterator

from labelmill.formats import Inspection, ReadRequest, SplitRows
from labelmill.ops import codecs, delimited
from labelmill.ops.decompression import Stream
from labelmill.splits import Shard
from labelmill.storage import open_file

SUFFIXES = tuple(kind + codec for kind in (".csv",) for codec in codecs.SUFFIXES)
_DELIMITER = ","


def inspect(shard: Shard) -> Inspection:
    """The columns by the header; raises InputError where it cannot be read."""
    with open_file(shard.url) as file:
        schema = delimited.columns(Stream(file, shard.path), _DELIMITER, shard.url)
    return Inspection(schema=schema, rows=None, whole=True)


def read(shard: Shard, request: ReadRequest) -> Iterator[SplitRows]:
    """The splits of the shard that are not done, front to back; stored bytes are read once."""
    with open_file(shard.url) as file:
        stream = Stream(file, shard.path)
        for split, rows, breaks in delimited.read(
            stream, _DELIMITER, shard.path, request.rule, request.done, request
        ):
            yield SplitRows(split=split, rows=rows, breaks=breaks)


def count(shard: Shard) -> int:
    """Records under the header, good and bad; raises InputError where damage is found."""
    with open_file(shard.url) as file:
        return delimited.count(Stream(file, shard.path), _DELIMITER, shard.url)
