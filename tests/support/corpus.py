"""A small corpus: one shard of each kind, with a few bad rows, and what became of it."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
import zstandard

from labelmill import verification
from labelmill.ledger.status import read_status
from tests.support import inline
from tests.support.models import WORDS

ROWS = 40  # of every shard; one more line is no row
ALL_ROWS = 161
SPLIT_ROWS = 15
SPLITS = 12
BAD = 4  # rows: three have no text, one is no JSON
KINDS = ("table.parquet", "plain.jsonl", "zipped.jsonl.gz", "deep/packed.jsonl.zst")


def write_corpus(
    directory: Path, rows: int = ROWS, spoilt: Mapping[int, str] | None = None
) -> None:
    """The shards: `id` tells rows apart over all of them; `spoilt` adds a word to some by id."""
    (directory / "deep").mkdir(parents=True)
    texts = [_rows(shard, rows, spoilt or {}) for shard in range(len(KINDS))]
    pq.write_table(pa.Table.from_pylist(texts[0]), directory / KINDS[0], row_group_size=7)
    (directory / KINDS[1]).write_bytes(_lines(texts[1]) + b'{"id": 1, "text": \n')
    (directory / KINDS[2]).write_bytes(gzip.compress(_lines(texts[2])))
    (directory / KINDS[3]).write_bytes(zstandard.compress(_lines(texts[3])))


def write_job(
    path: Path, source: Path, output: Path, checkpoint: str, /, **sections: Mapping[str, Any]
) -> Path:
    """A job file for it; sections are laid over what every test wants."""
    settings: dict[str, Any] = {
        "task": "text-classification",
        "model": {"path": checkpoint, "precision": "float32"},
        "source": {"path": str(source), "split_rows": SPLIT_ROWS},
        "output": {"path": str(output), "max_rejected": 0.5},
        "resources": {"replicas": 1},
    }
    for name, values in sections.items():
        settings[name] = settings.get(name, {}) | dict(values)
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part as it lies there."""

    data: bytes
    mtime: int  # ns
    inode: int


def parts(output: Path) -> dict[str, Part]:
    """Every part by its path; also of a run that was just killed."""
    return {
        path.relative_to(output).as_posix(): Part(
            data=path.read_bytes(), mtime=path.stat().st_mtime_ns, inode=path.stat().st_ino
        )
        for path in sorted(output.rglob("*.parquet"))
    }


def uninterrupted(
    directory: Path, source: Path, checkpoint: str, /, **sections: Mapping[str, Any]
) -> dict[str, bytes]:
    """The parts of a run that nothing interrupts, by their paths."""
    job = write_job(directory / "job.yaml", source, directory / "out", checkpoint, **sections)
    assert inline.label_file(job).complete
    return contents(parts(directory / "out"))


def require_readable(output: Path, whole: Mapping[str, bytes]) -> None:
    """What any reader sees of a run that was just killed: whole parts, and a status."""
    begun = (output / "_labelmill" / "manifest").exists()
    # Before the parts: where workers outlive their driver, there may be more of both any moment.
    done = read_status(str(output)).splits_done if begun else 0
    found = contents(parts(output))
    assert found.items() <= dict(whole).items()
    for name in found:
        pq.read_table(output / name)
    assert done <= len(found)


def require_whole(output: Path, whole: Mapping[str, bytes], before: Mapping[str, Part]) -> None:
    """Every row once, the bytes of an uninterrupted run, and what was there before untouched."""
    after, status = parts(output), read_status(str(output))
    assert (status.complete, status.splits_done) == (True, SPLITS)
    assert (status.rows_read, status.rows_rejected) == (ALL_ROWS, BAD)
    assert contents(after) == whole
    assert before.items() <= after.items()  # also inodes and times
    assert verification.verify(str(output), source=True).ok


def contents(found: Mapping[str, Part]) -> dict[str, bytes]:
    """Only the bytes."""
    return {name: part.data for name, part in found.items()}


def row_id(shard: int, row: int) -> int:
    """The `id` of a row of one of KINDS."""
    return shard * 1_000_000 + row


def _rows(shard: int, rows: int, spoilt: Mapping[int, str]) -> list[dict[str, Any]]:
    words = WORDS.split()
    return [
        {
            "id": (number := row_id(shard, row)),
            "text": " ".join(words[(row * 7 + k * (shard + 3)) % len(words)] for k in range(9))
            + f" {spoilt.get(number, '')}",
        }
        for row in range(rows)
    ]


def _lines(rows: list[dict[str, Any]]) -> bytes:
    """One of them has no text."""
    lines = [json.dumps(row).encode() + b"\n" for row in rows]
    lines[len(rows) // 2] = b'{"id": %d, "text": null}\n' % rows[0]["id"]
    return b"".join(lines)
