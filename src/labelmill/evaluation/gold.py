"""Gold: the right answer of each row, from a column of the output or from a file of its own.

A gold file is joined on a key that both have. Its keys are held in memory, some 150 bytes a gold
row, and its gold column besides.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from labelmill.errors import ConfigError, InputError
from labelmill.evaluation import json_columns
from labelmill.evaluation.run_rows import no_column, reach, shard_tables
from labelmill.ops import plugins
from labelmill.ops.arrow_types import plain
from labelmill.source import list_shards
from labelmill.splits import Shard


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
        key that is missing or stands there twice.
        """
        self.column = key
        self._rows: dict[str, int] = {}
        values: dict[str, list[pa.Array]] = {}  # by file
        for shard in _shards(path):
            seen = _columns(shard)
            gold = _gold_column(seen.names, key, wanted, shard.url)
            schema = pa.schema([_plain(seen.field(name)) for name in (key, gold)])
            for table, bad in shard_tables(shard, schema):
                if bad:
                    raise InputError(f"{shard.url!r}: {bad} rows are malformed; mend them")
                self._remember(reach(table, key), shard.url)
                values.setdefault(shard.url, []).append(reach(table, gold))
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

    def _remember(self, keys: pa.Array, url: str) -> None:
        for place, key in enumerate(_keys(keys).to_pylist(), start=len(self._rows)):
            if not key:
                raise InputError(f"{url!r}: a key is missing; mend or remove the row")
            if self._rows.setdefault(key, place) != place:
                raise InputError(f"{url!r}: key {key!r} stands there twice; leave one of them")


def _shards(path: str) -> Sequence[Shard]:
    try:
        return list_shards((path,)).shards
    except InputError as error:
        raise InputError(f"--gold: {error}") from error


def _columns(shard: Shard) -> pa.Schema:
    if shard.format == "jsonl":
        return json_columns.types([shard])
    return plugins.load("labelmill.formats", shard.format).inspect(shard).schema


def _plain(column: pa.Field) -> pa.Field:
    """Without views and dictionaries, which not every kernel takes."""
    return column.with_type(plain(column.type))


def _gold_column(names: Sequence[str], key: str, wanted: str | None, url: str) -> str:
    for name in (key, wanted or key):
        if name not in names:
            raise ConfigError(f"{url!r}: {no_column(name, names)}")
    if wanted == key:
        raise ConfigError(f"--gold-column: {key!r} is the key, expected the column of gold values")
    others = [name for name in names if name != key]
    if wanted is None and len(others) != 1:
        raise ConfigError(
            f"{url!r}: there are {', '.join(map(repr, others)) or 'no columns'} beside the key; "
            "say with --gold-column which one is gold"
        )
    return wanted or others[0]


def _keys(column: pa.Array) -> pa.Array:
    """As text, so that CSV's keys meet those of Parquet."""
    if pt.is_integer(column.type) or pt.is_string(column.type) or pt.is_large_string(column.type):
        return column.cast(pa.large_string())
    raise ConfigError(f"--key: is of type {column.type}, expected strings or whole numbers")


def _joined(values: Mapping[str, list[pa.Array]], path: str) -> pa.Array:
    """All values in one type that holds them: whole numbers beside others, null beside anything."""
    tables = [pa.table({"gold": each}) for several in values.values() for each in several]
    if not tables:
        raise InputError(f"{path!r}: there is no gold value in it")
    try:
        return pa.concat_tables(tables, promote_options="permissive")["gold"].combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        found = {each[0].type: url for url, each in values.items()}
        listed = ", ".join(f"{kind} in {url!r}" for kind, url in found.items())
        raise InputError(
            f"{path!r}: its files disagree on the type of the gold column ({listed}); make them "
            "alike"
        ) from error
