"""The bad shards in one folder, and what a run over them has made of each."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from labelmill.ledger.status import damage_of, rejects_of
from tests.support.bad_files import bad_files
from tests.support.bad_lines import bad_lines
from tests.support.bad_shards import BadShard, Found
from tests.support.bad_tables import bad_tables

SHARDS = [*bad_lines(), *bad_files(), *bad_tables()]
TOGETHER = [shard for shard in SHARDS if not shard.alone]


@dataclass(frozen=True, slots=True, kw_only=True)
class Became:
    """What became of one shard."""

    good: list[object] = field(default_factory=list)  # `id` of every row with a label
    rejects: list[tuple[int, str]] = field(default_factory=list)
    breaks: list[tuple[int, str]] = field(default_factory=list)


def lay(directory: Path, shards: Iterable[BadShard]) -> None:
    """Write the shards."""
    for shard in shards:
        path = directory / shard.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(shard.data)


def what_became(output: Path) -> Mapping[str, Became]:
    """Of each shard, by the parts and the lists that the command prints."""
    found: dict[str, Became] = defaultdict(Became)
    for placed in rejects_of(str(output)):
        found[placed.shard].rejects.append((placed.reject.position, placed.reject.reason))
    for broken in damage_of(str(output)):
        found[broken.shard].breaks.append((broken.piece.start, broken.piece.reason))
    for part in sorted(path for path in output.rglob("*-?????.*") if path.is_file()):
        name = str(part.relative_to(output)).rpartition("-")[0]
        found[name].good.extend(row.get("id") for row in _rows(part) if row["label"] is not None)
    return found


def differences(shard: BadShard, became: Became, *, ids: bool = True) -> list[str]:
    """What is not as expected."""
    good: list[object] = list(shard.good) if ids else [None] * len(shard.good)
    told = [] if became.good == good else [f"good rows {became.good}, expected {good}"]
    told += _unlike("rejects", became.rejects, shard.rejects)
    return told + _unlike("breaks", became.breaks, shard.breaks)


def _unlike(what: str, found: list[tuple[int, str]], expected: Found) -> list[str]:
    same = len(found) == len(expected) and all(
        place == at and re.search(pattern, reason)
        for (place, reason), (at, pattern) in zip(found, expected, strict=True)
    )
    return [] if same else [f"{what} {found}, expected {expected}"]


def _rows(part: Path) -> list[dict[str, Any]]:
    if part.suffix == ".parquet":
        table: list[dict[str, Any]] = pq.ParquetFile(part).read().to_pylist()
        return table
    # A number may have thousands of digits.
    lines = part.read_bytes().split(b"\n")
    return [json.loads(line, parse_int=_integer) for line in lines if line]


def _integer(digits: str) -> object:
    return int(digits) if len(digits) < 100 else digits
