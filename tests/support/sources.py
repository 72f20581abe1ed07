"""Shards of any format on disk, and what a read of them gives, as plain values."""

import importlib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typing_extensions import override

from labelmill.formats import ReadRequest, SplitRows
from labelmill.splits import CutRule, Rows, Shard, Split

LARGE = 1 << 40


def module(name: str) -> Any:
    """A format by its name."""
    return importlib.import_module(f"labelmill.formats.{name}")


def shard_of(folder: Path, data: bytes, name: str, format_name: str) -> Shard:
    """A shard with these stored bytes."""
    path = folder / name
    path.write_bytes(data)
    return Shard(path=name, url=str(path), format=format_name, size=len(data), version="1")


def request(
    *,
    rows: int = LARGE,
    size: int = LARGE,
    fields: Mapping[str, str] | None = None,
    kept: pa.Schema | None = None,
    done: Iterable[Split] = (),
    **more: Any,
) -> ReadRequest:
    """A request for column `text`, bounded by nothing, unless said otherwise."""
    return ReadRequest(
        rule=CutRule(split_rows=rows, split_bytes=size),
        fields={"text": "text"} if fields is None else fields,
        kept=pa.schema([]) if kept is None else kept,
        done={split.index: split for split in done},
        **more,
    )


def read(shard: Shard, wanted: ReadRequest | None = None) -> list[SplitRows]:
    """All splits of a shard that are not done."""
    return list(module(shard.format).read(shard, wanted or request()))


def rows_of(splits: Sequence[SplitRows]) -> Rows:
    """The rows of all splits, as those of one."""
    return Rows.from_table(pa.concat_tables([split.rows.to_table() for split in splits]))


def texts_and_errors(shard: Shard, wanted: ReadRequest | None = None) -> list[tuple[Any, Any]]:
    """One (text, error) a row."""
    rows = rows_of(read(shard, wanted))
    return list(zip(rows.fields["text"].to_pylist(), rows.error.to_pylist(), strict=True))


def require_resumable(shard: Shard, wanted: ReadRequest, indices: Iterable[int]) -> None:
    """What is done moves no cut, and changes no row and no break of the others."""
    whole = read(shard, wanted)
    done = {whole[index].split.index: whole[index].split for index in indices}
    again = read(
        shard, ReadRequest(rule=wanted.rule, fields=wanted.fields, kept=wanted.kept, done=done)
    )
    rest = [piece for piece in whole if piece.split.index not in done]
    assert [piece.split for piece in again] == [piece.split for piece in rest]
    assert [piece.breaks for piece in again] == [piece.breaks for piece in rest]
    assert [p.rows.to_table() for p in again] == [p.rows.to_table() for p in rest]


class CountedFile(io.FileIO):
    """A file that knows which bytes were read."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.given = 0

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size) or b""
        self.given += len(data)
        return data

    @override
    def readinto(self, buffer: Any, /) -> int:
        size = super().readinto(buffer) or 0
        self.given += size
        return size


def counted(monkeypatch: pytest.MonkeyPatch, format_name: str) -> list[CountedFile]:
    """Every file that the format opens from here on."""
    files: list[CountedFile] = []

    def open_file(url: str) -> CountedFile:
        files.append(CountedFile(url))
        return files[-1]

    monkeypatch.setattr(module(format_name), "open_file", open_file)
    return files
