"""JSON columns: of which types the columns of JSON Lines are, by every line of every file.

A type that rests on the first lines would leave out the rows that come later: a number with a point
after whole ones, a label after nulls.
"""

from collections.abc import Collection, Iterable, Iterator

import pyarrow as pa

from labelmill.formats import Format, ReadRequest
from labelmill.ops import plugins
from labelmill.ops.json_rows import LINE
from labelmill.ops.json_types import infer, is_json_text, unify
from labelmill.ops.json_values import Document, decode, loads
from labelmill.splits import CutRule, Shard

RULE = CutRule(split_rows=1 << 16, split_bytes=64 << 20)  # of what is read at once


def types(shards: Iterable[Shard], wanted: Collection[str] | None = None) -> pa.Schema:
    """The columns of all files; those that are not `wanted` (default: all are) as null.

    Values that have no type in common make their column JSON text, see `spelled`.
    """
    found: dict[str, pa.Field] = {}
    for shard in shards:
        for lines in _lines(shard):
            objects = (decode(line) for line in lines)
            values = (_of(each, wanted) for each in objects if isinstance(each, Document))
            for field in infer(values):
                found[field.name] = unify(found.get(field.name, field), field)
    return pa.schema(list(found.values()))


def spelled(table: pa.Table) -> pa.Table:
    """The table with JSON text as text: of a string what it says, of other values their source."""
    for place, field in enumerate(table.schema):
        if is_json_text(field):
            texts = [_text(source) for source in table[place].to_pylist()]
            table = table.set_column(place, field.name, pa.array(texts, pa.string()))
    return table


def _lines(shard: Shard) -> Iterator[list[bytes]]:
    """The lines of a file, a split at a time."""
    module: Format = plugins.load("labelmill.formats", shard.format)
    for split in module.read(shard, ReadRequest(rule=RULE, fields={}, raw=True)):
        yield split.rows.kept[LINE].drop_null().to_pylist()


def _of(document: Document, wanted: Collection[str] | None) -> dict[str, object]:
    return {
        name: value if wanted is None or name in wanted else None
        for name, value in document.value.items()
    }


def _text(source: str | None) -> str | None:
    return str(loads(source)) if source is not None and source.startswith('"') else source
