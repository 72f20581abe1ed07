"""Reading Arrow shards and Hugging Face dataset directories: layouts, media, damage, cuts."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasets import Audio, Dataset, DatasetDict, Features, Image, Value, disable_progress_bars

from labelmill.errors import InputError
from labelmill.formats import arrow
from labelmill.ops.fields import MEDIA
from labelmill.source import list_shards
from tests.support.sources import (
    counted,
    read,
    request,
    require_resumable,
    rows_of,
    shard_of,
    texts_and_errors,
)

disable_progress_bars()


def documents(count: int) -> pa.Table:
    texts = [f"<{row}> " + "word " * (row % 9) for row in range(count)]
    columns = [pa.array(range(count), pa.int64()), pa.array(texts, pa.string())]
    return pa.table(columns, names=["id", "text"])


def written(table: pa.Table, form: str, rows: int = 100, **options: object) -> bytes:
    """The table as an IPC stream or file of batches of so many rows."""
    sink = pa.BufferOutputStream()
    make = pa.ipc.new_file if form == "file" else pa.ipc.new_stream
    with make(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("form", ["stream", "file"])
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_read_gives_every_row_with_its_number(
    tmp_path: Path, form: str, compression: str | None
) -> None:
    data = written(documents(1000), form, compression=compression)
    shard = shard_of(tmp_path, data, "a.arrow", "arrow")
    wanted = request(rows=130, kept=pa.schema([("id", pa.int64()), ("new", pa.string())]))
    pieces = read(shard, wanted)
    rows = rows_of(pieces)
    assert [piece.split.start for piece in pieces] == list(range(0, 1000, 130))
    assert rows.position.to_pylist() == rows.kept["id"].to_pylist() == list(range(1000))
    assert rows.fields["text"].to_pylist() == documents(1000)["text"].to_pylist()
    assert rows.kept["new"].null_count == 1000
    assert arrow.count(shard) == 1000
    assert arrow.inspect(shard).schema == documents(0).schema
    require_resumable(shard, wanted, [0, 3, 4])
    require_resumable(shard, wanted, [7])


@pytest.mark.parametrize("form", ["stream", "file"])
def test_read_reads_each_byte_once(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = shard_of(tmp_path, written(documents(50_000), form, 1000), "a.arrow", "arrow")
    files = counted(monkeypatch, "arrow")
    read(shard, request(rows=700))
    assert shard.size <= files[0].given + 64 * 50
    assert files[0].given <= shard.size + 20_000  # the footer of a file


def test_read_of_no_rows_is_one_empty_last_split(tmp_path: Path) -> None:
    for form in ("stream", "file"):
        shard = shard_of(tmp_path, written(documents(0), form), "a.arrow", "arrow")
        (only,) = read(shard)
        assert (only.split.start, only.split.stop, only.split.last) == (0, 0, True)
        assert only.breaks == ()


@pytest.mark.parametrize(
    "text",
    [
        pa.array(["a", "b", None], pa.large_string()),
        pa.array(["a", "b", None], pa.string_view()),
        pa.array(["a", "b", None]).dictionary_encode(),
    ],
    ids=lambda array: str(array.type),
)
def test_read_strings_of_every_layout(tmp_path: Path, text: pa.Array) -> None:
    data = written(pa.table({"text": text}), "stream")
    found = texts_and_errors(shard_of(tmp_path, data, "a.arrow", "arrow"))
    assert found == [("a", None), ("b", None), (None, "field 'text' is null")]


@pytest.mark.parametrize("data", [b"", b"ARROW1", b"not Arrow at all", b"FEA1" + b"\0" * 40])
def test_read_of_what_cannot_be_opened_is_one_break(tmp_path: Path, data: bytes) -> None:
    shard = shard_of(tmp_path, data, "a.arrow", "arrow")
    (only,) = read(shard)
    assert [(gap.start, gap.stop) for gap in only.breaks] == [(0, None)]
    assert (only.split.stop, only.split.last, len(only.rows)) == (0, True, 0)
    for verb in (arrow.inspect, arrow.count):
        with pytest.raises(InputError, match=r"'a\.arrow' cannot be read as Arrow IPC"):
            verb(shard)


def test_read_of_a_stream_that_breaks_off_keeps_the_batches_before(tmp_path: Path) -> None:
    data = written(documents(1000), "stream")
    shard = shard_of(tmp_path, data[: len(data) * 2 // 3], "a.arrow", "arrow")
    pieces = read(shard, request(rows=130))
    rows = rows_of(pieces)
    assert len(rows) % 100 == 0
    assert rows.fields["text"].to_pylist() == documents(len(rows))["text"].to_pylist()
    assert [(gap.start, gap.stop) for gap in pieces[-1].breaks] == [(len(rows), None)]
    require_resumable(shard, request(rows=130), [0, 2])


@pytest.mark.parametrize("form", ["stream", "file"])
def test_read_of_damaged_offsets_loses_their_batch_only(tmp_path: Path, form: str) -> None:
    table = documents(300)
    data = bytearray(written(table, form))
    middle = table["text"].slice(100, 100).combine_chunks()
    offsets = np.frombuffer(middle.buffers()[1], np.int32, 101, middle.offset * 4)
    place = data.index((offsets - offsets[0])[:50].tobytes())
    data[place + 80 : place + 84] = b"\xff\xff\xff\x7f"
    shard = shard_of(tmp_path, bytes(data), "a.arrow", "arrow")
    pieces = read(shard)
    gaps = [(gap.start, gap.stop) for piece in pieces for gap in piece.breaks]
    assert gaps == [(100, 200)]
    assert rows_of(pieces).position.to_pylist() == [*range(100), *range(200, 300)]


def test_read_of_a_string_that_is_not_utf8_costs_its_row_alone(tmp_path: Path) -> None:
    data = written(documents(300), "stream").replace(b"<142>", b"<1\xff2>")
    found = texts_and_errors(shard_of(tmp_path, data, "a.arrow", "arrow"))
    assert [row for row, (_, error) in enumerate(found) if error] == [142]
    assert found[142][1] == "field 'text': invalid UTF-8 in column 'text'"


def saved(folder: Path, rows: int = 10) -> Path:
    Dataset.from_dict({"text": [f"row {row}" for row in range(rows)]}).save_to_disk(
        str(folder), num_shards=2
    )
    return folder


def test_saved_dataset_is_its_data_files_and_nothing_else(tmp_path: Path) -> None:
    DatasetDict(
        train=Dataset.from_dict({"text": ["a", "b"]}), test=Dataset.from_dict({"text": ["c"]})
    ).save_to_disk(str(tmp_path / "ds"))
    (tmp_path / "ds" / "train" / "cache-0123456789abcdef.arrow").write_bytes(b"x")
    for wanted in ("auto", "arrow"):
        listing = list_shards([str(tmp_path / "ds")], wanted)
        name = "data-00000-of-00001.arrow"
        assert [shard.path for shard in listing.shards] == [f"test/{name}", f"train/{name}"]
        texts = [rows_of(read(shard)).fields["text"].to_pylist() for shard in listing.shards]
        assert texts == [["c"], ["a", "b"]]
        foreign = {Path(path).name for path in listing.foreign}
        assert foreign == {
            "cache-0123456789abcdef.arrow", "dataset_dict.json", "dataset_info.json", "state.json",
        }  # fmt: skip


def test_saved_dataset_with_indices_or_without_a_file_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "ds")
    state = json.loads((folder / "state.json").read_text())
    indices = [{"filename": "indices.arrow"}]
    (folder / "state.json").write_text(json.dumps(state | {"_indices_data_files": indices}))
    with pytest.raises(InputError, match=r"call flatten_indices\(\)"):
        list_shards([str(folder)])
    (folder / "state.json").write_text(json.dumps(state))
    assert len(list_shards([str(folder)]).shards) == 2
    (folder / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(InputError, match=r"data-00001-of-00002.arrow' is listed in state.json"):
        list_shards([str(folder)])


def test_state_of_another_program_is_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"text": "a"}\n')
    (tmp_path / "dataset_info.json").write_text('{"text": "a"}\n')
    assert [s.path for s in list_shards([str(tmp_path)]).shards] == [
        "dataset_info.json", "state.json",
    ]  # fmt: skip


def test_media_features_are_bytes_and_paths(tmp_path: Path) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("image", kind), ("audio", kind), ("n", pa.int8())])
    (tmp_path / "b.png").write_bytes(b"two")
    beside = {"bytes": None, "path": str(tmp_path / "b.png")}
    rows = {
        "image": [{"bytes": b"one", "path": "a.png"}, beside, None],
        "audio": [{"bytes": b"s", "path": None}] * 3,
        "n": [1, 2, 3],
    }
    features = Features({"image": Image(), "audio": Audio(), "n": Value("int8")})
    dataset = Dataset(pa.table(rows, schema=schema)).cast(features)
    dataset.save_to_disk(str(tmp_path / "ds"))
    (shard,) = list_shards([str(tmp_path / "ds")]).shards
    found = rows_of(
        read(
            shard,
            request(
                fields={"image": "image", "audio": "audio"},
                kinds={"image": "media", "audio": "media"},
                kept=pa.schema([("n", pa.int8())]),
            ),
        )
    )
    assert found.fields["image"].type == MEDIA
    embedded = {"bytes": b"two", "path": "b.png"}  # as `datasets` saves what it finds
    assert found.fields["image"].to_pylist() == [rows["image"][0], embedded, None]
    assert found.fields["audio"].to_pylist() == rows["audio"]
    assert found.error.to_pylist() == [None, None, "field 'image' is null"]
    assert found.kept["n"].to_pylist() == [1, 2, 3]


_READ = """
    import sys
    from labelmill.formats import ReadRequest, arrow
    from labelmill.splits import CutRule, Shard
    shard = Shard(path="a.arrow", url=sys.argv[1], format="arrow", size=0, version="")
    rule = CutRule(split_rows=1000, split_bytes=8 << 20)
    rows = 0
    for split in arrow.read(shard, ReadRequest(rule=rule, fields={"text": "text"})):
        rows += len(split.rows)
    status = dict(line.split(":") for line in open("/proc/self/status") if ":" in line[:20])
    print(rows, int(status["VmHWM"].split()[0]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_read_200_mb_takes_little_memory(tmp_path: Path) -> None:
    batch = pa.record_batch({"text": [f"{row} " + "x" * 1000 for row in range(1000)]})
    path = tmp_path / "a.arrow"
    with pa.ipc.new_stream(path, batch.schema) as writer:
        for _ in range(200):
            writer.write_batch(batch)
    assert path.stat().st_size > 200_000_000
    command = [sys.executable, "-c", textwrap.dedent(_READ), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows, peak = (int(word) for word in done.stdout.split())
    assert rows == 200_000
    assert peak < 300
