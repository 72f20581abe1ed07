"""The job file of every task under configs/label, run over real rows with a tiny model.

Interrupted after its first split and resumed, and once more without a break: the parts must be the
same, byte for byte. What the labels say is the contract tests' affair.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from labelmill import verification
from labelmill.ledger.status import rejects_of
from labelmill.ops import plugins
from tests.support import audio_models, image_models, inline
from tests.support.models import save_tiny, tiny_classifier
from tests.support.sentence_models import tiny_inference, tiny_sentences
from tests.support.tagger_models import tiny_tagger
from tests.support.writing_models import tiny_decoder, tiny_encoder_decoder

CONFIGS = Path(__file__).parents[2] / "configs" / "label"
ROWS = 9
TEXTS = [
    "the film was great",
    "terrible service, slow and dull! " * 9,
    "\U0001f600 emoji",
    "\u0634\u0643\u0631\u0627 \u05e9\u05dc\u05d5\u05dd",
    "\u4f60\u597d",
    "e\u0301 a\u0323",
    "bright and cold",
    "never good",
]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model, rows of which the last is bad, and what the job file must be told besides."""

    model: Callable[[Path], str]
    rows: Mapping[str, list[Any]]
    added: set[str]
    options: Mapping[str, Any] = field(default_factory=dict)


def texts(name: str = "text", mark: str = "") -> Mapping[str, list[Any]]:
    return {name: [*(mark + text for text in TEXTS), None]}


def _files(made: list[bytes]) -> list[bytes]:
    return [*made[: ROWS - 1], b"no such thing"]


def pictures() -> Mapping[str, list[Any]]:
    made = [image_models.encoded_as(image_models.picture(seed)) for seed in range(ROWS)]
    return {"image": _files(made)}


def sounds() -> Mapping[str, list[Any]]:
    made = [audio_models.file(audio_models.tone(0.3 + seed / 9, seed)) for seed in range(ROWS)]
    return {"audio": _files(made)}


def chats() -> Mapping[str, list[Any]]:
    said = [[{"role": "user", "content": text}] for text in TEXTS]
    return {"messages": [*said, [{"role": "nobody", "content": "?"}]]}


def _masked(folder: Path) -> str:
    return save_tiny(folder, "bert", "AutoModelForMaskedLM")


def _answering(folder: Path) -> str:
    return save_tiny(folder, "bert", "AutoModelForQuestionAnswering")


LABELLED = {"label", "score"}
CASES: Mapping[str, Case] = {
    "text-classification": Case(model=tiny_classifier, rows=texts(), added=LABELLED),
    "zero-shot-classification": Case(model=tiny_inference, rows=texts(), added=LABELLED),
    "token-classification": Case(model=tiny_tagger, rows=texts(), added={"entities"}),
    "question-answering": Case(
        model=_answering,
        rows={"question": ["which film?"] * ROWS, **texts("context")},
        added={"answer", "score", "start", "end"},
    ),
    "fill-mask": Case(model=_masked, rows=texts(mark="[MASK] "), added={"fills"},
                      options={"max_length": 64}),
    "summarization": Case(model=lambda folder: tiny_encoder_decoder(folder, "t5"), rows=texts(),
                          added={"summary"}, options={"max_new_tokens": 6}),
    "translation": Case(
        model=lambda folder: tiny_encoder_decoder(folder, "m2m100"),
        rows=texts(),
        added={"translation"},
        options={"max_new_tokens": 6, "source_language": "en", "target_language": "de"},
    ),
    "text-generation": Case(
        model=tiny_decoder,
        rows=chats(),
        added={"generated_text", "finish_reason", "generated_tokens"},
        options={"max_new_tokens": 8, "temperature": 0.7, "seed": 3},
    ),
    "feature-extraction": Case(model=tiny_sentences, rows=texts(), added={"embedding"}),
    "image-classification": Case(
        model=image_models.tiny_image_classifier, rows=pictures(), added=LABELLED
    ),
    "zero-shot-image-classification": Case(
        model=image_models.tiny_two_towers, rows=pictures(), added=LABELLED
    ),
    "audio-classification": Case(
        model=lambda folder: audio_models.tiny_audio_classifier(folder, "wav2vec2-layer"),
        rows=sounds(),
        added=LABELLED,
    ),
    "automatic-speech-recognition": Case(
        model=audio_models.tiny_ctc, rows=sounds(), added={"transcript"}
    ),
}  # fmt: skip


def test_every_task_has_a_case_here():
    assert set(CASES) == set(plugins.modules("labelmill.tasks"))


def run_of(home: Path, task: str, model: str, *, interrupted: bool) -> dict[str, bytes]:
    """The parts of the run of the task's own job file, by name."""
    settings = yaml.safe_load((CONFIGS / f"{task}.yaml").read_text(encoding="utf-8"))
    case = CASES[task]
    settings["model"] |= {"path": model, "revision": None, "precision": "float32"}
    columns = {name: name for name in case.rows}
    settings["source"] |= {"path": str(home / "in"), "columns": columns, "split_rows": 4}
    settings["options"] |= case.options
    settings["output"] |= {"path": str(home / "out"), "max_rejected": 1.0, "prefix": "our_"}
    (home / "in").mkdir(parents=True)
    pq.write_table(pa.table({"id": list(range(ROWS)), **case.rows}), home / "in" / "a.parquet")
    job = inline.job_of(home, settings)
    if interrupted:
        inline.label(job, splits=1)
    assert inline.label(job).complete
    return {path.name: path.read_bytes() for path in sorted((home / "out").glob("*.parquet"))}


@pytest.mark.parametrize("task", CASES)
def test_job_file_of_the_task_labels_every_good_row_once_and_the_same_when_resumed(
    tmp_path: Path, task: str
) -> None:
    (tmp_path / "model").mkdir()
    model = CASES[task].model(tmp_path / "model")
    parts = run_of(tmp_path / "whole", task, model, interrupted=False)
    assert len(parts) == 3

    assert run_of(tmp_path / "resumed", task, model, interrupted=True) == parts

    found = verification.verify(str(tmp_path / "whole" / "out"), source=True)
    assert found.ok, found.problems
    rows = pa.concat_tables([pq.read_table(pa.BufferReader(part)) for part in parts.values()])
    assert rows["id"].to_pylist() == list(range(ROWS - 1))
    added = {f"our_{name}" for name in CASES[task].added}
    assert added <= set(rows.column_names)
    assert any(rows[name].null_count < len(rows) for name in added)
    (reject,) = rejects_of(str(tmp_path / "whole" / "out"))
    assert reject.reject.position == ROWS - 1
    assert reject.reject.reason
