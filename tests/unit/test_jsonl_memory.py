"""Large shards and long lines of JSON Lines, in little memory."""

import gzip
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from labelmill.splits import Shard
from tests.support.jsonl import read, request, rows_of

_READ = """
    import sys
    from pathlib import Path
    from labelmill.formats import ReadRequest, jsonl
    from labelmill.splits import CutRule, Shard

    class Counting:
        given = 0
        def __init__(self, file): self.file = file
        def __enter__(self): return self
        def __exit__(self, *_): self.file.close()
        def seek(self, *place): return self.file.seek(*place)
        def read(self, size):
            data = self.file.read(size)
            Counting.given += len(data)
            return data

    jsonl.open_file = lambda url: Counting(open(url, "rb", buffering=0))
    path = Path(sys.argv[1])
    shard = Shard(path=path.name, url=str(path), format="jsonl", size=0, version="")
    rule = CutRule(split_rows=10_000, split_bytes=8 << 20)
    rows = bad = 0
    wanted = ReadRequest(rule=rule, fields={"text": "text"}, raw=True)
    for split in jsonl.read(shard, wanted):
        rows += len(split.rows)
        bad += len(split.rows) - split.rows.error.null_count
    # Not ru_maxrss: a child starts with its parent's.
    status = dict(line.split(":") for line in open("/proc/self/status") if ":" in line[:20])
    print(rows, bad, Counting.given, int(status["VmHWM"].split()[0]) // 1024)
"""


def measured(path: Path) -> list[int]:
    """Rows, bad rows, bytes read and peak MiB of reading a shard in its own process."""
    command = [sys.executable, "-c", textwrap.dedent(_READ), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_read_200_mb_takes_little_memory_and_reads_each_byte_once(
    tmp_path: Path, suffix: str
) -> None:
    lines = b"".join(
        json.dumps({"id": n, "text": f"row {n} " + "some words " * 15}).encode() + b"\n"
        for n in range(5000)
    )
    path = tmp_path / f"a.jsonl{suffix}"
    with gzip.open(path, "wb", compresslevel=1) if suffix else path.open("wb") as file:
        for _ in range(200_000_000 // len(lines) + 1):
            file.write(lines)
    rows, bad, given, peak = measured(path)
    expected = (200_000_000 // len(lines) + 1) * 5000
    assert (rows, bad, given) == (expected, 0, path.stat().st_size)
    assert peak < 300


@pytest.mark.slow
def test_read_line_of_60_mb_is_a_row_and_one_of_300_mb_is_streamed_past(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(b'{"text": "a"}\n{"text": "' + b"x" * 60_000_000 + b'"}\n{"text": "')
        for _ in range(300):
            file.write(b"y" * 1_000_000)
        file.write(b'"}\n{"text": "b"}\n')
    shard = Shard(path=path.name, url=str(path), format="jsonl", size=0, version="")
    rows = rows_of(read(shard, request(raw=True)))
    assert [len(text or "") for text in rows.fields["text"].to_pylist()] == [1, 60_000_000, 0, 1]
    assert rows.error.to_pylist()[2] == "a line of 300000013 bytes, more than 268435456"
    assert rows.text is not None
    assert rows.text.to_pylist()[2] == '{"text": "' + "y" * 990
    assert rows.kept["line"].to_pylist()[2] is None
