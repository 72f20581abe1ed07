"""Arrow: IPC streams and files, such as a Hugging Face dataset directory is made of.

Record batches are read front to back, each byte once; memory holds a split and one record batch
(1000 rows as `datasets` writes them, 100 where they hold media). What is done already is read past.
A row's position is its number.

Arrow trusts what it reads, so every batch is checked before it is touched. A batch that is damaged
in itself is a break of its rows; where the stream cannot be followed any more, the rest of it is.
"""

import io
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.types as pt

from labelmill.errors import InputError
from labelmill.formats import Inspection, ReadRequest, SplitRows
from labelmill.ops import class_labels, schemas
from labelmill.ops.arrow_types import is_string
from labelmill.ops.cutting import Cut, Cutter
from labelmill.ops.table_rows import roots, table_rows
from labelmill.splits import Break, Shard
from labelmill.storage import open_file

SUFFIXES = (".arrow",)

_FILE = b"ARROW1"
_BUFFER_BYTES = 1 << 20
# The decoder's verdict on damaged bytes; a MemoryError, for one, is not.
_REFUSED = (
    pa.ArrowInvalid,
    pa.ArrowNotImplementedError,
    OSError,
    UnicodeDecodeError,
    pa.ArrowKeyError,
)


def inspect(shard: Shard) -> Inspection:
    """The schema from the head, or the footer of a file; raises InputError on damage."""
    with open_file(shard.url) as file:
        try:
            schema = _Batches(file).schema
        except _REFUSED as error:
            raise InputError(_unopened(shard, error)) from error
    return Inspection(
        schema=schema.remove_metadata(), rows=None, whole=True, names=class_labels.names_of(schema)
    )


def count(shard: Shard) -> int:
    """Rows of all record batches; raises InputError on damage."""
    with open_file(shard.url) as file:
        try:
            return sum(batch.num_rows for batch in _Batches(file))
        except _REFUSED as error:
            raise InputError(_unopened(shard, error)) from error


def read(shard: Shard, request: ReadRequest) -> Iterator[SplitRows]:
    """The splits of the shard that are not done, front to back.

    InputError where the shard is not the one that was planned: another type in a kept column,
    fewer rows than are done.
    """
    with open_file(shard.url) as file:
        for cut in _cuts(file, shard, request):
            rows = table_rows(
                cut.table,
                range(cut.split.start, cut.split.stop),
                request,
                source=f"shard {shard.path!r}",
            )
            yield SplitRows(split=cut.split, rows=rows, breaks=cut.breaks)


def _cuts(file: BinaryIO, shard: Shard, request: ReadRequest) -> Iterator[Cut]:
    needed = roots(request)
    try:
        batches = _Batches(file)
        schema = pa.schema([field for field in batches.schema if field.name in needed])
    except _REFUSED as error:
        cutter = Cutter(shard.path, request.rule, request.done, pa.schema([]))
        yield from cutter.skip(Break(start=0, stop=None, reason=_words(error)))
        yield from cutter.end()
        return
    schemas.refuse_twins(f"shard {shard.path!r}", schema)
    cutter = Cutter(shard.path, request.rule, request.done, schema)
    yield from _fed(cutter, batches, schema)
    yield from cutter.end()


def _fed(cutter: Cutter, batches: "_Batches", schema: pa.Schema) -> Iterator[Cut]:
    position = 0
    whole = iter(batches)
    while cutter.wanted is not None:
        try:
            batch = next(whole, None)
        except _REFUSED as error:
            yield from cutter.skip(Break(start=position, stop=None, reason=_words(error)))
            return
        if batch is None:
            return
        stop = position + batch.num_rows
        if cutter.wanted < stop:
            yield from _taken(cutter, position, batch.select(schema.names))
        position = stop


def _taken(cutter: Cutter, position: int, batch: pa.RecordBatch) -> Iterator[Cut]:
    reason = _damage(batch)
    if reason is None:
        yield from cutter.feed(position, batch)
    elif (wanted := cutter.wanted) is not None:
        stop = position + batch.num_rows
        yield from cutter.skip(Break(start=wanted, stop=stop, reason=reason))


class _Batches:
    """The record batches of one open shard, of the stream or the file format."""

    def __init__(self, file: BinaryIO) -> None:
        head = file.read(len(_FILE))
        file.seek(0)
        if head == _FILE:
            reader: Any = pa.ipc.open_file(file)
            self._get: Iterator[Callable[[], pa.RecordBatch]] = (
                partial(reader.get_batch, place) for place in range(reader.num_record_batches)
            )
        else:
            # Messages begin with a few small reads, which a store would answer one by one.
            reader = pa.ipc.open_stream(io.BufferedReader(cast(Any, file), _BUFFER_BYTES))
            self._get = iter(lambda: reader.read_next_batch, None)
        self.schema: pa.Schema = reader.schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for get in self._get:
            try:
                batch = get()
            except StopIteration:
                return
            yield batch


def _damage(batch: pa.RecordBatch) -> str | None:
    """Why the batch cannot be touched; strings that are not UTF-8 are their rows' own trouble."""
    try:
        batch.validate(full=True)
    except _REFUSED:
        try:
            for column in batch.columns:
                column.validate()
                column.cast(_unread(column.type)).validate(full=True)
        except _REFUSED as error:
            return _words(error)
    return None


def _unread(kind: pa.DataType) -> pa.DataType:
    """The type with bytes for strings, at any depth that a cast reaches."""
    if is_string(kind):
        return pa.large_binary() if pt.is_large_string(kind) else pa.binary()
    if pt.is_struct(kind):
        return pa.struct([child.with_type(_unread(child.type)) for child in kind.fields])
    if pt.is_list(kind) or pt.is_large_list(kind):
        made = pa.large_list if pt.is_large_list(kind) else pa.list_
        return made(_unread(kind.value_type))
    return kind


def _unopened(shard: Shard, error: Exception) -> str:
    return f"shard {shard.path!r} cannot be read as Arrow IPC: {_words(error)}"


def _words(error: Exception) -> str:
    return " ".join(str(error).split())
