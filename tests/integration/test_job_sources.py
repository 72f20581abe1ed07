"""A whole job over every kind of source: equal texts get equal labels, and all is verified."""

import csv
import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, disable_progress_bars

from labelmill import verification
from labelmill.ledger.status import rejects_of
from tests.support import inline
from tests.support.models import tiny_classifier

disable_progress_bars()

TEXTS = [f"row {row}, with \u00e9 and \U0001f600" + " word" * (row % 7) for row in range(60)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_classifier(str(tmp_path_factory.mktemp("model") / "bert"))


def lay_parquet(root: Path) -> None:
    pq.write_table(
        pa.table({"id": [f"{row:03d}" for row in range(60)], "text": TEXTS}), root / "a.parquet"
    )


def lay_csv(root: Path) -> None:
    for name, delimiter in (("a.csv", ","), ("b.tsv", "\t")):
        sink = io.StringIO()
        writer = csv.writer(sink, delimiter=delimiter, lineterminator="\n")
        writer.writerow(["id", "text"])
        part = slice(0, 30) if name == "a.csv" else slice(30, 60)
        writer.writerows([[f"{row:03d}", TEXTS[row]] for row in range(60)[part]])
        (root / name).write_text(sink.getvalue(), encoding="utf-8")
    with (root / "b.tsv").open("a") as file:
        file.write("too\tmany\tcells\n")


def lay_arrow(root: Path) -> None:
    rows = {"id": [f"{row:03d}" for row in range(60)], "text": TEXTS}
    Dataset.from_dict(rows).save_to_disk(str(root / "ds"), num_shards=2)


def lay_webdataset(root: Path) -> None:
    with tarfile.open(root / "a.tar", "w") as archive:
        for row, text in enumerate(TEXTS):
            for name, content in ((f"{row:03d}.txt", text.encode()), (f"{row:03d}.jpg", b"\xff")):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))


def lay_folders(root: Path) -> None:
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow(["file_name", "id", "text"])
    for row, text in enumerate(TEXTS):
        name = f"{'even' if row % 2 == 0 else 'odd'}/{row:03d}.png"
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"\x89PNG")
        writer.writerow([name, f"{row:03d}", text])
    (root / "metadata.csv").write_text(sink.getvalue(), encoding="utf-8")


SOURCES: Mapping[str, tuple[Callable[[Path], None], dict[str, Any], str, int]] = {
    "csv and tsv": (lay_csv, {}, "id", 1),
    "saved dataset": (lay_arrow, {}, "id", 0),
    "webdataset": (lay_webdataset, {"columns": {"text": "txt"}}, "__key__", 0),
    "imagefolder": (lay_folders, {"format": "imagefolder"}, "id", 0),
}


def labelled(
    home: Path, model: str, lay: Callable[[Path], None], source: dict[str, Any]
) -> pa.Table:
    """All parts of a run over a source, interrupted once."""
    (home / "in").mkdir(parents=True)
    lay(home / "in")
    job = inline.job_of(
        home,
        {
            "task": "text-classification",
            "model": {"path": model, "precision": "float32"},
            "source": {"path": str(home / "in"), "split_rows": 13, **source},
            "output": {"path": str(home / "out"), "max_rejected": 1.0, "prefix": "our_"},
        },
    )
    inline.label(job, splits=2)
    status = inline.label(job)
    assert status.complete
    found = verification.verify(str(home / "out"), source=True)
    assert found.ok, found.problems
    parts = sorted(path for path in (home / "out").rglob("*-?????.parquet"))
    assert len(parts) == status.splits >= 5
    return pa.concat_tables([pq.read_table(part) for part in parts])


@pytest.mark.parametrize("kind", SOURCES)
def test_job_gives_every_row_of_every_source_the_label_it_has_in_parquet(
    tmp_path: Path, model: str, kind: str
) -> None:
    lay, source, key, rejected = SOURCES[kind]
    expected = labelled(tmp_path / "parquet", model, lay_parquet, {})
    found = labelled(tmp_path / "this", model, lay, source)

    def labels(table: pa.Table, column: str) -> dict[str, str]:
        return dict(zip(table[column].to_pylist(), table["our_label"].to_pylist(), strict=True))

    assert labels(found, key) == labels(expected, "id")
    assert len(found) == 60
    rejects = list(rejects_of(str(tmp_path / "this" / "out")))
    assert len(rejects) == rejected
    # Pictures are not carried unless they are named.
    assert not {"jpg", "image"} & set(found.column_names)
    assert {"imagefolder": {"label", "file_name"}}.get(kind, set()) <= set(found.column_names)
