"""The dry run refuses what the job would refuse, in the same words, and changes nothing."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from labelmill.cli import labelling
from labelmill.config.job import LabelJob
from labelmill.errors import (
    ConfigError,
    CorruptRun,
    FingerprintChanged,
    InputError,
    LabelmillError,
    LedgerError,
    ModelError,
    StorageError,
)
from labelmill.ledger import opening, status
from labelmill.ledger.attempts import Attempt
from labelmill.ledger.run import Run
from labelmill.ledger.state import State
from tests.support import inline
from tests.support.bad_shards import rows
from tests.support.models import save_tiny, tiny_classifier


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_classifier(str(tmp_path_factory.mktemp("model") / "bert"))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """The directory of a job over two shards; nothing was labelled yet."""
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / "in" / f"{name}.jsonl").write_bytes(rows(20))
    return tmp_path


def job(corpus: Path, model: str, **sections: Mapping[str, Any]) -> Any:
    settings: dict[str, Any] = {
        "task": "text-classification",
        "model": {"path": model, "precision": "float32"},
        "source": {"path": str(corpus / "in"), "split_rows": 4},
        "output": {"path": str(corpus / "out")},
    }
    for name, values in sections.items():
        settings[name] = settings.get(name, {}) | values
    return inline.job_of(corpus, settings)


def described(corpus: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    labelling.describe(str(corpus / "job.yaml"), (), None, as_json=True)
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def require_refused(corpus: Path, job: Any, kind: type[LabelmillError], match: str) -> None:
    """By the dry run, which leaves nothing behind, and by the job."""
    before = files(corpus)
    with pytest.raises(kind, match=match) as dry:
        labelling.describe(str(corpus / "job.yaml"), (), None, as_json=True)
    assert files(corpus) == before
    with pytest.raises(kind) as real:
        inline.label(job)
    assert str(dry.value) == str(real.value)


def files(corpus: Path) -> list[Path]:
    return sorted(each for each in corpus.rglob("*") if each.is_file())


def test_other_settings_than_those_of_the_run_are_refused(corpus: Path, model: str) -> None:
    inline.label(job(corpus, model))
    other = job(corpus, model, output={"prefix": "x_"})
    require_refused(corpus, other, FingerprintChanged, "started with other settings .*prefix")


def test_shard_that_changed_is_refused_naming_only_what_differs(corpus: Path, model: str) -> None:
    same = job(corpus, model)
    inline.label(same)
    (corpus / "in" / "a.jsonl").touch()
    require_refused(
        corpus, same, InputError, r"'a.jsonl' changed since the run began: version was '\d+', is '"
    )


def test_part_of_another_size_is_refused(corpus: Path, model: str) -> None:
    same = job(corpus, model)
    inline.label(same)
    part = corpus / "out" / "a.jsonl-00000.parquet"
    part.write_bytes(part.read_bytes()[:-1])
    require_refused(corpus, same, CorruptRun, "'a.jsonl-00000.parquet'.* its receipt says")


def test_output_with_other_data_is_refused(corpus: Path, model: str) -> None:
    (corpus / "out").mkdir()
    (corpus / "out" / "theirs.csv").write_text("a,b")
    require_refused(corpus, job(corpus, model), LedgerError, "holds 'theirs.csv' and no run")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"max_length": 2}, "options.max_length: 2 leaves no room"),
        ({"max_length": 2, "long_text": "window"}, "options.max_length: 2 leaves no room"),
        ({"max_length": 16, "long_text": "window", "stride": 14}, "options.stride: 14 shared"),
    ],
)
def test_options_that_leave_no_room_are_refused(
    corpus: Path, model: str, options: Mapping[str, Any], match: str
) -> None:
    require_refused(corpus, job(corpus, model, options=options), ConfigError, match)
    assert not (corpus / "out").exists()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_output_that_can_be_no_directory_is_refused(corpus: Path, model: str, place: str) -> None:
    (corpus / "file").write_text("")
    wanted = job(corpus, model, output={"path": str(corpus / place)})
    require_refused(corpus, wanted, ConfigError, "output.path: .* a file, expected a directory")


def test_output_where_no_file_appears_whole_is_refused(corpus: Path, model: str) -> None:
    wanted = job(corpus, model, output={"path": "http://127.0.0.1:9/out"})
    require_refused(corpus, wanted, StorageError, "cannot be created whole or not at all")


def test_slices_are_those_of_the_run_where_shards_have_come(
    corpus: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    inline.label(job(corpus, model))
    for name in ("0", "aa"):  # before and between those that the run knows
        (corpus / "in" / f"{name}.jsonl").write_bytes(rows(20))
    wanted = job(corpus, model)
    plan = inline.plan_of(wanted)
    told = []
    for slice_ in ((0, 2), (1, 2)):
        labelling.describe(str(corpus / "job.yaml"), (), slice_, as_json=True)
        told.append(json.loads(capsys.readouterr().out)["shards_pending"])

    run = Run.open(wanted.output.path, plan.manifest, plan.listing.shards, attempt=Attempt())
    real = [len(list(run.pending(slice_))) for slice_ in ((0, 2), (1, 2))]
    run.close()

    assert told == real == [1, 1]


def test_ledger_is_read_once(
    corpus: Path,
    model: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inline.label(job(corpus, model))
    made: list[Any] = []
    monkeypatch.setattr(opening, "State", lambda store: made.append(State(store)) or made[-1])
    monkeypatch.setattr(status, "State", lambda store: made.append(State(store)) or made[-1])

    assert described(corpus, capsys)["splits_done"] == 10
    assert len(made) == 1


def test_what_is_lost_or_replaced_is_pending(
    corpus: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (corpus / "in" / "c.jsonl.gz").write_bytes(gzip.compress(rows(20))[:40])
    inline.label(job(corpus, model))
    (corpus / "in" / "c.jsonl.gz").write_bytes(gzip.compress(rows(20)))
    (corpus / "out" / "a.jsonl-00001.parquet").unlink()
    before = files(corpus)

    told = described(corpus, capsys)

    assert (told["shards_pending"], told["splits"]) == (2, None)
    assert (told["splits_done"], told["rows_done"]) == (9, 36)
    assert files(corpus) == before


def test_splits_of_a_standing_run_are_those_of_its_ledger(
    corpus: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = job(corpus, model)
    new = described(corpus, capsys)
    inline.label(wanted, splits=3)
    begun = described(corpus, capsys)
    inline.label(wanted)
    whole = described(corpus, capsys)
    (corpus / "in" / "c.jsonl").write_bytes(rows(20))
    grown = described(corpus, capsys)

    found = [(told["splits"], told["splits_done"]) for told in (new, begun, whole, grown)]
    assert found == [(10, 0), (None, 3), (10, 10), (None, 10)]
    labelling.describe(str(corpus / "job.yaml"), (), None, as_json=False)
    assert "only reading can tell; 10 done" in capsys.readouterr().out


@pytest.mark.parametrize("engine", ["pytorch", "openvino"])
@pytest.mark.parametrize("saved", ["AutoModel", "AutoModelForMaskedLM"])
def test_a_model_without_the_head_is_refused_before_there_is_a_run(corpus, saved, engine):
    headless = save_tiny(corpus / "headless", "bert", saved)
    wanted = job(corpus, headless)
    for refusing in (inline.plan_of, inline.label):
        with pytest.raises(ModelError, match=r"'classifier\.bias'|expected one with a head"):
            refusing(with_engine(wanted, engine))
    assert not (corpus / "out").exists()


def with_engine(wanted: LabelJob, engine: str) -> LabelJob:
    return wanted.model_copy(update={"model": wanted.model.model_copy(update={"engine": engine})})
