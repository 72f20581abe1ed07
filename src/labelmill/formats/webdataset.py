"""WebDataset: tar archives of samples, plain or compressed.

A row is a sample, its position its number in the archive. Column `__key__` is the sample's key, and
every extension is a column: text (`txt`, `json`, `cls` and their like) a string as it stands, all
others bytes. The columns of a run are those of the first samples of each archive; what a later
sample has beyond them is not carried. A sample that lacks a column has a null there, and is a bad
row where a field of the task needs it. A member may have 256 MiB.

Where the archive is damaged, the samples before are rows, and the rest of it is a break.
"""

from collections.abc import Iterator

import pyarrow as pa

from labelmill.errors import InputError
from labelmill.formats import Inspection, ReadRequest, SplitRows
from labelmill.ops import codecs
from labelmill.ops.cutting import Cut, Cutter
from labelmill.ops.decompression import Stream
from labelmill.ops.media_types import is_media
from labelmill.ops.table_rows import table_rows
from labelmill.ops.tar_samples import BrokenArchive, Sample, samples
from labelmill.splits import Break, Shard
from labelmill.storage import open_file

SUFFIXES = tuple(".tar" + codec for codec in codecs.SUFFIXES)

KEY = "__key__"
_TEXT = frozenset({
    "caption", "class", "cls", "cls2", "count", "csv", "html", "id", "index", "inx", "json",
    "jsonl", "lang", "md", "text", "title", "transcript", "tsv", "txt", "url", "xml", "yaml",
    "yml",
})  # fmt: skip
_ERROR = "/"  # the column of verdicts; no extension has a slash
_LOOKED_AT = 16  # samples
_BATCH_ROWS, _BATCH_BYTES = 64, 4 << 20


def inspect(shard: Shard) -> Inspection:
    """The columns of the first samples; raises InputError where not one can be read."""
    names: dict[str, None] = {}
    rows, whole, reason = 0, True, ""
    with open_file(shard.url) as file:
        try:
            for sample in samples(Stream(file, shard.path), lambda *_: False):
                names |= dict.fromkeys(sample.names)
                rows += 1
                if rows == _LOOKED_AT:
                    whole = False
                    break
        except BrokenArchive as error:
            whole, reason = False, str(error)
    if reason and not rows:
        raise InputError(f"shard {shard.path!r} cannot be read: {reason}")
    columns = [pa.field(name, _kind(name)) for name in (KEY, *names)]
    return Inspection(
        schema=pa.schema(columns if names else []),
        rows=rows if whole else None,
        whole=whole,
        aside=frozenset(name for name in names if is_media(name)),
    )


def count(shard: Shard) -> int:
    """Samples of the archive; raises InputError on damage."""
    with open_file(shard.url) as file:
        try:
            return sum(1 for _ in samples(Stream(file, shard.path), lambda *_: False))
        except BrokenArchive as error:
            raise InputError(f"shard {shard.path!r} is damaged: {error}") from error


def read(shard: Shard, request: ReadRequest) -> Iterator[SplitRows]:
    """The splits of the shard that are not done, front to back, each byte read once."""
    names = dict.fromkeys([*request.fields.values(), *request.kept.names])
    schema = pa.schema([(name, _kind(name)) for name in names] + [(_ERROR, pa.string())])
    cutter = Cutter(shard.path, request.rule, request.done, schema)
    with open_file(shard.url) as file:
        for cut in _cuts(Stream(file, shard.path), cutter, schema):
            rows = table_rows(
                cut.table.drop_columns([_ERROR]),
                range(cut.split.start, cut.split.stop),
                request,
                source=f"shard {shard.path!r}",
                error=cut.table[_ERROR],
            )
            yield SplitRows(split=cut.split, rows=rows, breaks=cut.breaks)


def _kind(name: str) -> pa.DataType:
    return pa.string() if name == KEY or name in _TEXT else pa.large_binary()


def _cuts(stream: Stream, cutter: Cutter, schema: pa.Schema) -> Iterator[Cut]:
    def needed(number: int, name: str) -> bool:
        return cutter.wanted is not None and cutter.wanted <= number and name in schema.names

    position = 0
    for found in _batches(samples(stream, needed), schema):
        if isinstance(found, str):
            yield from cutter.skip(Break(start=position, stop=None, reason=found))
        else:
            yield from cutter.feed(position, found)
            position += len(found)
        if cutter.wanted is None:
            break
    yield from cutter.end()


def _batches(found: Iterator[Sample], schema: pa.Schema) -> Iterator[pa.RecordBatch | str]:
    """The samples in small batches; at the end the reason, if the archive is broken."""
    held: list[Sample] = []
    size, reason = 0, None
    while True:
        try:
            sample = next(found, None)
        except BrokenArchive as error:
            sample, reason = None, str(error)
        if sample is not None:
            held.append(sample)
            size += sum(map(len, sample.members.values()))
        if held and (sample is None or len(held) == _BATCH_ROWS or size >= _BATCH_BYTES):
            yield _batch(held, schema)
            held, size = [], 0
        if sample is None:
            break
    if reason is not None:
        yield reason


def _batch(held: list[Sample], schema: pa.Schema) -> pa.RecordBatch:
    columns = [_column(held, field) for field in list(schema)[:-1]]
    errors = pa.array([sample.error for sample in held], pa.string())
    return pa.RecordBatch.from_arrays([*columns, errors], schema=schema)


def _column(held: list[Sample], field: pa.Field) -> pa.Array:
    cells = [
        sample.key.encode(errors="surrogateescape")
        if field.name == KEY
        else sample.members.get(field.name)
        for sample in held
    ]
    if field.type == pa.string():
        return pa.array(cells, pa.binary()).view(pa.string())  # rows are checked for UTF-8 later
    return pa.array(cells, field.type)
