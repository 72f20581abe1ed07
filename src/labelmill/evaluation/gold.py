"""Gold: the right answer of each row, from a column of the output or from a file of its own.

A gold file is joined on a key that both have. Its keys are held in memory, some 150 bytes a gold
row, and its gold column besides.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from labelmill.errors import ConfigError, InputError
from labelmill.evaluation.run_rows import reach, require, shard_tables
from labelmill.ops import plugins
from labelmill.source import list_shards


class Gold(Protocol):
    """Where gold values come from."""

    column: str  # of the output, that `of` wants

    def of(self, column: pa.Array) -> pa.Array:
        """[rows] gold values, null where there is none."""
        ...

    @property
    def unused(self) -> int:
        """Gold values that no row has asked for so far."""
        ...


class GoldColumn:
    """A column that the output carries."""

    unused = 0

    def __init__(self, column: str) -> None:
        self.column = column

    def of(self, column: pa.Array) -> pa.Array:
        """See Gold."""
        return column


class GoldFile:
    """Files joined on a key."""

    def __init__(self, path: str, key: str, wanted: str | None) -> None:
        """Read it. `wanted`: its gold column; None where there is only one beside the key.

        Raises ConfigError for columns that are not there, InputError for a damaged file and for a
        key that stands there twice.
        """
        self.column = key
        self._rows: dict[str, int] = {}
        values: list[pa.Array] = []
        for shard in list_shards((path,)).shards:
            seen = plugins.load("labelmill.formats", shard.format).inspect(shard).schema
            gold = _gold_column(seen.names, key, wanted, path)
            schema = pa.schema([seen.field(key), seen.field(gold)])
            for table, misfits in shard_tables(shard, schema):
                if misfits:
                    raise InputError(f"{shard.url!r}: {misfits} rows are malformed; mend them")
                self._remember(reach(table, key), path)
                values.append(reach(table, gold))
        self._values = _joined(values, path)
        self._used = np.zeros(len(self._values) + 1, np.bool_)

    def of(self, column: pa.Array) -> pa.Array:
        """See Gold; a key that is null has no gold."""
        found = [self._rows.get(key, -1) for key in _keys(column).to_pylist()]
        places = np.array(found, np.int64)
        self._used[places] = True
        return self._values.take(pa.array(places, mask=places < 0))

    @property
    def unused(self) -> int:
        """See Gold."""
        return int((~self._used[:-1]).sum())

    def _remember(self, keys: pa.Array, path: str) -> None:
        for place, key in enumerate(_keys(keys).to_pylist(), start=len(self._rows)):
            if key is None:
                raise InputError(f"{path!r}: a key is null; mend or remove the row")
            if self._rows.setdefault(key, place) != place:
                raise InputError(f"{path!r}: key {key!r} stands there twice; leave one of them")


def _gold_column(names: Sequence[str], key: str, wanted: str | None, path: str) -> str:
    try:
        require([key, *([wanted] if wanted else [])], names)
    except ConfigError as error:
        raise ConfigError(f"{path!r}: {error}") from error
    others = [name for name in names if name != key]
    if wanted is None and len(others) != 1:
        raise ConfigError(
            f"{path!r}: there are {', '.join(map(repr, others)) or 'no columns'} beside the key; "
            "say with --gold-column which one is gold"
        )
    return wanted or others[0]


def _keys(column: pa.Array) -> pa.Array:
    """As text, so that CSV's keys meet those of Parquet."""
    if pt.is_integer(column.type) or pt.is_string(column.type) or pt.is_large_string(column.type):
        return column.cast(pa.large_string())
    raise ConfigError(f"--key: is of type {column.type}, expected strings or whole numbers")


def _joined(values: list[pa.Array], path: str) -> pa.Array:
    try:
        return pa.chunked_array(values).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError) as error:
        raise InputError(f"{path!r}: its files disagree on the gold column: {error}") from error
