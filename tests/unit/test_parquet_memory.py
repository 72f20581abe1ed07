"""Reading a large row group in a small memory: measured in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = 200_000
CHILD = """
import io, json, resource, sys
from labelmill.formats import ReadRequest, parquet
from labelmill.splits import CutRule, Shard

class Counted(io.FileIO):
    total = 0
    def read(self, size=-1):
        data = super().read(size)
        Counted.total += len(data)
        return data

parquet.open_file = Counted
path = sys.argv[1]
shard = Shard(path="a.parquet", url=path, format="parquet", size=1, version="1")
rule = CutRule(split_rows=10_000, split_bytes=8 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = 0
for piece in parquet.read(shard, ReadRequest(rule=rule, fields={"text": "text"})):
    rows += len(piece.rows)
    breaks = piece.breaks
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"rows": rows, "grown": (peak - before) << 10, "read": Counted.total}))
"""


@pytest.mark.slow
def test_read_of_one_row_group_of_200_megabytes_streams_its_pages(tmp_path: Path) -> None:
    path = tmp_path / "large.parquet"
    letters = np.random.default_rng(0).integers(97, 123, ROWS * 1000, np.uint8)
    offsets = np.arange(ROWS + 1, dtype=np.int32) * 1000
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(letters)]
    text = pa.Array.from_buffers(pa.string(), ROWS, buffers)
    options = {"row_group_size": ROWS, "use_dictionary": False, "compression": "none"}
    pq.write_table(pa.table({"text": text}), path, **options)
    size = path.stat().st_size
    assert size > 200_000_000
    assert pq.read_metadata(path).num_row_groups == 1
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)], capture_output=True, check=True, text=True
    )
    found = json.loads(child.stdout)
    assert found["rows"] == ROWS
    assert found["read"] < size + 200_000  # each byte once, and the footer
    assert found["grown"] < 96 << 20
