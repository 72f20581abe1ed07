"""Runtime: what runs the model, with every `auto` resolved; and how the job is cut because of it.

Asked on a machine that a replica would run on. What decides results (engine, precision, cut rule)
is resolved once, when the run starts, and taken from the manifest afterwards.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labelmill import engines
from labelmill.batch import ModelFacts
from labelmill.config.job import LabelJob
from labelmill.config.section import Section
from labelmill.config.source import SourceSection
from labelmill.engines import Use
from labelmill.errors import ConfigError
from labelmill.ops import pixels
from labelmill.splits import CutRule
from labelmill.tasks import Task, Work, model_class

# Seconds to a minute of prediction a split, and some MiB to carry. A picture of 224 x 224 pixels is
# 600 KB once it is decoded, half a minute of sound 2 MB; a text that is written takes as many
# forward passes as it has tokens.
_AUTO_RULE: Mapping[tuple[str, Work], CutRule] = {
    ("cpu", "scoring"): CutRule(split_rows=500, split_bytes=8 << 20),
    ("cpu", "media"): CutRule(split_rows=64, split_bytes=32 << 20),
    ("cpu", "generating"): CutRule(split_rows=64, split_bytes=8 << 20),
    ("cuda", "scoring"): CutRule(split_rows=200_000, split_bytes=128 << 20),
    ("cuda", "media"): CutRule(split_rows=512, split_bytes=128 << 20),
    ("cuda", "generating"): CutRule(split_rows=512, split_bytes=32 << 20),
}
# Towards the end of a run replicas wait for the last splits. So a small corpus gets smaller ones,
# down to these sizes, until it has so many: enough for a machine of CPUs, or for a cluster of GPUs.
_LEAST_RULE: Mapping[tuple[str, Work], CutRule] = {
    ("cpu", "scoring"): CutRule(split_rows=100, split_bytes=1 << 20),
    ("cuda", "scoring"): CutRule(split_rows=20_000, split_bytes=16 << 20),
}
_SPLITS = {"cpu": 16, "cuda": 128}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The answer of a machine."""

    engine: str
    precision: str
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """How large a source is."""

    rows: int | None  # None where only reading can tell
    size: int  # bytes, as stored


def use_of(
    task: Task, processor: Any, facts: ModelFacts, options: Section, *, own_code: bool
) -> Use:
    """What the task wants a model for; raises ConfigError for options that do not suit it."""
    sees = task.processor == "AutoImageProcessor"
    return Use(
        model_type=facts.model_type,
        readout=task.readout(processor, facts, options),
        own_code=own_code,
        picture=pixels.shape_of(processor) if sees else None,
        auto_class=model_class(task, facts, options),
    )


def resolve(engine: str, precision: str, use: Use, *, gpus: float | None) -> Resolved:
    """Engine and precision for this machine; `gpus` 0 keeps off GPUs, None takes what is there."""
    named = () if engine == "auto" else (engine,)
    device = "cpu" if gpus == 0 else engines.best_device(*named)
    name, precision = engines.choose(engine, precision, device, use)
    return Resolved(engine=name, precision=precision, device=device)


def refuse_no_compiling(job: LabelJob, resolved: Resolved, work: Work) -> None:
    """Raises ConfigError where `resources.compile` is set, and nothing would come of it."""
    packs = resolved.device == "cuda" and resolved.precision != "float32"
    able = engines.compiles(resolved.engine) and packs and work == "scoring"
    if job.resources.compile and not able:
        raise ConfigError(
            "resources.compile: it is for the engine 'pytorch' on a GPU in half precision, and "
            f"tasks that score texts; this one is {work!r}, with {resolved.engine!r} on "
            f"{resolved.device!r} in {resolved.precision!r}; set it to false"
        )


def cut_rule(
    source: SourceSection, device: str, work: Work, standing: CutRule | None, corpus: Corpus
) -> CutRule:
    """The job's own sizes; where it says auto those of the run that is there, else the device's.

    Where it sets neither, a small corpus gets smaller ones.
    """
    rows, size = source.split_rows, source.split_bytes
    auto = standing or _AUTO_RULE[device, work]
    if standing is None and rows == size == "auto":
        auto = _smaller(auto, _LEAST_RULE.get((device, work), auto), _SPLITS[device], corpus)
    return CutRule(
        split_rows=auto.split_rows if rows == "auto" else rows,
        split_bytes=auto.split_bytes if size == "auto" else size,
    )


def _smaller(most: CutRule, least: CutRule, splits: int, corpus: Corpus) -> CutRule:
    return CutRule(
        split_rows=_share(corpus.rows, splits, least.split_rows, most.split_rows),
        split_bytes=_share(corpus.size, splits, least.split_bytes, most.split_bytes),
    )


def _share(whole: int | None, splits: int, least: int, most: int) -> int:
    return most if whole is None else min(max(whole // splits, least), most)


def standing_choice(settings: Mapping[str, Any] | None, job: LabelJob) -> tuple[str, str]:
    """The job's engine and precision; for `auto`, what the run that is there was started with."""
    wanted = (job.model.engine, job.model.precision)
    if settings is None:
        return wanted
    recorded = (settings["model.engine"], settings["model.precision"])
    engine, precision = (
        there if want == "auto" else want for want, there in zip(wanted, recorded, strict=True)
    )
    return engine, precision
