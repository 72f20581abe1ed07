"""Labelling: rows that are kept back, labelled by the model as it is, and scored like a run.

A model whose answers are words (spans of a text, summaries, translations) cannot be measured by its
logits. So the task encodes and decodes the rows as when labelling, an engine's reader reads the
model out, and the scorers of `labelmill evaluate` compare. Every worker labels its share.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import distributed

from labelmill import checkpoints
from labelmill.batch import Microbatch, ModelFacts, Outputs, Padding
from labelmill.checkpoints import localize
from labelmill.config.training import TrainingSection
from labelmill.engines.pytorch.engine import reader
from labelmill.engines.pytorch.reading import Model, Reader, on_host
from labelmill.errors import OutOfMemory
from labelmill.evaluation import choosing
from labelmill.evaluation.scored import Scorer
from labelmill.ops import plugins
from labelmill.stages.inference import Inference
from labelmill.tasks import Task, has_gold
from labelmill.training import gold
from labelmill.training.checkpointing import Keep, write_answers
from labelmill.training.recipe import TrainRecipe

_Answers = tuple[pa.Table, pa.Array]  # of some rows, and what is right for each
_BUDGET = {"cpu": 4096, "cuda": 32768}  # tokens of a microbatch; halved where memory runs out


def metrics(task: Task, training: TrainingSection) -> tuple[str, ...]:
    """Those that what the model answers can be measured by; () where its logits say enough.

    With FSDP no worker has a whole model to label its share with.
    """
    return task.metrics if has_gold(task) and not training.others.get("fsdp") else ()


def is_wanted(task: Task, training: TrainingSection) -> bool:
    """Whether rows are labelled: spans always, what is written where a metric of it decides."""
    known = metrics(task, training)
    asked = (training.metric_for_best_model or "").removeprefix("eval_")
    return bool(known) and (task.work != "generating" or asked in known)


def scorer_of(task: Task, facts: ModelFacts, options: Any) -> Scorer:
    """That of `evaluate`; raises ConfigError where a library of it is not installed."""
    return choosing.scorer(task.schema(facts, options), {"task": task.name}, (), None)


class Labelling:
    """Metrics of a model as it is; for recipes with gold rows and a readout."""

    def __init__(self, recipe: TrainRecipe, keep: Keep) -> None:
        """`keep` is to keep the answers with the checkpoint."""
        self._recipe = recipe
        self._keep = keep
        self._checkpoint = localize(recipe.model.checkpoint)
        self._task: Task = plugins.load_class("labelmill.tasks", recipe.task)()
        self._processor = checkpoints.processor(self._checkpoint, self._task.processor)

    def __call__(self, module: Any) -> dict[str, float]:
        """Label and score with the model, which is in evaluation mode; called by all workers."""
        rank, workers = _place()
        scorer = scorer_of(self._task, self._recipe.facts, self._recipe.options)
        answers: list[_Answers] = []
        with _as_it_was(module):
            inference = self._inference(module)
            for fields, wanted in gold.read(Path(self._recipe.gold or ""), rank, workers):
                table = self._labelled(inference, fields).select(list(scorer.columns))
                answers.append((table, wanted))
        given, right = _gathered(answers)
        self._keep.seen = partial(write_answers, given, right)
        scorer.add(given, right)
        scored = scorer.scored()
        return scored.counted(np.ones(scored.kinds, np.int64))

    def _labelled(self, inference: Inference, fields: dict[str, pa.ChunkedArray]) -> pa.Table:
        task, recipe, processor = self._task, self._recipe, self._processor
        encoded = task.encode(fields, processor, recipe.facts, recipe.options)
        outputs = inference.run(encoded).outputs
        return task.decode(outputs, encoded, fields, processor, recipe.facts, recipe.options)

    def _inference(self, module: Any) -> Inference:
        readout, device = self._recipe.readout, str(module.device)
        assert readout is not None  # noqa: S101 - see the class
        read = reader(readout, Model(module, device), self._checkpoint)
        engine = _Trained(read, module.device)
        return Inference(engine, engine.default_budget, self._recipe.facts.pad_token_id)


class _Trained:
    """The model that is trained, as an Engine; padded, without the inference mode.

    What a model keeps for itself in that mode (positions) could not be learned with afterwards.
    """

    name, precision = "pytorch", "float32"
    padding, packs, streams = Padding(), False, 1

    def __init__(self, read: Reader, device: torch.device) -> None:
        self._read = read
        self._device = device
        self.device = device.type
        self.default_budget = _BUDGET[device.type]

    @torch.no_grad()
    def forward(self, microbatch: Microbatch) -> Outputs:
        """See Engine."""
        inputs = {
            name: torch.from_numpy(values).to(self._device)
            for name, values in microbatch.inputs.items()
        }
        try:
            read = self._read(inputs, torch.from_numpy(microbatch.lengths))
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(f"no memory for a microbatch of {microbatch.shape!r}") from error
        return {name: on_host(values) for name, values in read.items()}

    def close(self) -> None:
        """See Engine; the model is another's."""


@contextmanager
def _as_it_was(module: Any) -> Iterator[None]:
    """A reader lays its settings over those of the model, which are saved with it."""
    kept = copy.deepcopy(getattr(module, "generation_config", None))
    try:
        yield
    finally:
        if kept is not None:
            module.generation_config = kept


def _place() -> tuple[int, int]:
    """This worker's number, and how many there are."""
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def _gathered(answers: list[_Answers]) -> _Answers:
    """Those of all workers, in their order."""
    _, workers = _place()
    every: list[Any] = [answers]
    if workers > 1:
        every = [None] * workers
        distributed.all_gather_object(every, answers)
    tables, gold = zip(*chain.from_iterable(every), strict=True)
    return pa.concat_tables(tables).combine_chunks(), pa.concat_arrays(gold)
