"""JSON Lines: one JSON object a line, plain or compressed.

A row is a line that is not blank; its position is the byte offset of its text in the
decompressed stream. A line that is no single JSON object in UTF-8, or whose fields are not what
the task asks, is a bad row and costs no other row. NaN, Infinity and -Infinity are numbers, as
Python writes them; of a key that stands twice, the last counts. A byte order mark of UTF-8 is
skipped; UTF-16, UTF-32 and files of other kinds are damage. Lines may have 256 MiB and nest 200
levels.

Where a decoder gives up, every line that ended before is a row; the piece of a line after the
last newline belongs to the break, unless the members before it were whole.
"""

import bz2
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import BinaryIO, cast

import pyarrow as pa
import zstandard

from labelmill.errors import InputError
from labelmill.formats import Inspection, ReadRequest, SplitRows
from labelmill.ops import codecs, json_writing
from labelmill.ops.decompression import PIECE, Stream
from labelmill.ops.json_lines import BLANKS, BOM, LineReader, Lines
from labelmill.ops.json_rows import RowParser, RowPlan
from labelmill.ops.json_types import infer
from labelmill.ops.json_values import Document, decode
from labelmill.ops.line_splits import cut
from labelmill.splits import Break, Rows, Shard, Split
from labelmill.storage import open_file

SUFFIXES = tuple(
    kind + codec for kind in (".jsonl", ".ndjson", ".json") for codec in codecs.SUFFIXES
)
_OTHERS = {  # UTF-32 first: its little-endian mark begins with UTF-16's
    "the text is UTF-32, expected UTF-8": (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff"),
    "the text is UTF-16, expected UTF-8": (b"\xff\xfe", b"\xfe\xff"),
    "this is Parquet, not JSON Lines": (b"PAR1\x15",),
    "this is a ZIP archive, not JSON Lines": (b"PK\x03\x04",),
}
_HEAD = 64  # bytes
_ARRAY = re.compile(rb"\s*\[[ \t\r]*\n")  # over several lines, of which the last may be an object
_DOCUMENT = re.compile(rb"\s*(\[\s*\{|\{\s*\n)")


def inspect(shard: Shard) -> Inspection:
    """Columns in the order of their first appearance, in the first 1 MiB or the first line.

    Bad lines are left out. Raises InputError where not one line can be read, or where the file
    seems to be one JSON document: an array, or an object over several lines.
    """
    with open_file(shard.url) as file:
        stream = Stream(file, shard.path)
        reader = LineReader(stream)
        reason = _refusal(stream)
        head = stream.peek(_HEAD).removeprefix(BOM)
        if reason is None and reader.peek() is None and stream.damage is not None:
            reason = stream.damage.reason
        if reason is not None:
            raise InputError(f"{shard.url!r} cannot be read: {reason}")
        objects, rows = [], 0
        # Lines come in runs: the first one counts, later ones only where the file ends with them.
        while (reader.offset == 0 or not stream.peek(1)) and (lines := reader.peek()) is not None:
            objects += _objects(reader.take(len(lines)))
            rows += int(lines.filled.sum())
        whole = not stream.peek(1) and stream.damage is None
    if _ARRAY.match(head) or (_DOCUMENT.match(head) and rows and not objects):
        raise InputError(
            f"{shard.url!r} cannot be read: it seems to be one JSON document, expected an object a "
            f"line; to make that of an array: jq -c '.[]' {shard.path} > rows.jsonl"
        )
    return Inspection(schema=infer(objects), rows=rows if whole else None, whole=whole)


def read(shard: Shard, request: ReadRequest) -> Iterator[SplitRows]:
    """The splits of the shard that are not done, front to back; stored bytes are read once.

    An empty shard is one empty split. A shard that is not what its name says is one empty split
    and a break over everything; a stream that breaks off has its break with the last split,
    where that stops.
    """
    parser = RowParser(
        RowPlan(
            fields=request.fields,
            optional=request.optional,
            kinds=request.kinds,
            kept=request.kept,
            raw=request.raw,
            reserved=request.reserved,
        )
    )
    with open_file(shard.url) as file:
        stream = Stream(file, shard.path)
        reason = _refusal(stream)
        if reason is not None:
            yield from _unreadable(shard, request, parser, reason)
            return
        splits = cut(LineReader(stream), shard.path, request.rule, request.done, parser.parse)
        for split, tables in splits:
            yield SplitRows(split=split, rows=_rows(parser, tables), breaks=_breaks(split, stream))


def write(table: pa.Table, provenance: Mapping[str, str], line: pa.ChunkedArray | None) -> bytes:  # noqa: ARG001 - JSON Lines have no place for provenance
    """One object a row, as `ops.json_cells` writes values, each with a newline.

    With `line` (large_binary, one a row) each object is that line with the table's columns
    added at its end; a null line stands for `{}`.
    """
    written = (
        json_writing.object_lines(table)
        if line is None
        else json_writing.spliced_lines(table, line)
    )
    return b"".join(written)


def count(shard: Shard) -> int:
    """Lines of a shard that are not blank, by other readers than `read` uses.

    Raises InputError where they find damage.
    """
    suffix = PurePosixPath(shard.path).suffix.lower()
    opened = _OPENERS.get(suffix, _plain)
    with open_file(shard.url) as file:
        try:
            return _count(opened(file))
        except _VERDICTS as err:
            raise InputError(f"{shard.url!r} is damaged: {err}") from err


def part_rows(data: bytes) -> int:
    """Lines of a part; raises InputError where the last has no newline, as every part's has."""
    if data and not data.endswith(b"\n"):
        raise InputError(
            f"a part ends in the middle of a line, after {len(data)} bytes; it was cut short"
        )
    return _count(io.BytesIO(data))


def _refusal(stream: Stream) -> str | None:
    """Why nothing of the stream can be read; None where it is worth trying."""
    if stream.damage is not None and stream.damage.total:
        return stream.damage.reason
    head = stream.peek(5)
    return next((reason for reason, marks in _OTHERS.items() if head.startswith(marks)), None)


def _objects(lines: Lines) -> list[dict[str, object]]:
    documents = (decode(text) for text in lines.texts())
    return [document.value for document in documents if isinstance(document, Document)]


def _unreadable(
    shard: Shard, request: ReadRequest, parser: RowParser, reason: str
) -> Iterator[SplitRows]:
    if 0 not in request.done:
        split = Split(shard=shard.path, index=0, start=0, stop=0, last=True)
        gap = Break(start=0, stop=None, reason=reason)
        yield SplitRows(split=split, rows=_rows(parser, []), breaks=(gap,))


def _rows(parser: RowParser, tables: list[pa.Table]) -> Rows:
    return Rows.from_table(pa.concat_tables([parser.schema.empty_table(), *tables]))


def _breaks(split: Split, stream: Stream) -> tuple[Break, ...]:
    if not split.last or stream.damage is None:
        return ()
    return (Break(start=split.stop, stop=None, reason=stream.damage.reason),)


def _plain(file: BinaryIO) -> BinaryIO:
    return file


def _zstd(file: BinaryIO) -> BinaryIO:
    reader = zstandard.ZstdDecompressor(max_window_size=1 << 31).stream_reader(
        file, read_across_frames=True
    )
    return cast(BinaryIO, reader)


_OPENERS: dict[str, Callable[[BinaryIO], BinaryIO]] = {
    ".gz": lambda file: cast(BinaryIO, gzip.GzipFile(fileobj=file)),
    ".bz2": lambda file: cast(BinaryIO, bz2.BZ2File(file)),
    ".xz": lambda file: cast(BinaryIO, lzma.LZMAFile(file)),  # noqa: SIM115 - `file` is closed
    ".zst": _zstd,
    ".zstd": _zstd,
}
_VERDICTS = (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


def _count(file: BinaryIO) -> int:
    rows, blank, mark = 0, True, BOM
    while piece := file.read(PIECE):
        *ended, rest = piece.removeprefix(mark).split(b"\n")
        mark = b""
        for line in ended:
            rows += not (blank and not line.strip(BLANKS))
            blank = True
        blank = blank and not rest.strip(BLANKS)
    return rows + (not blank)
