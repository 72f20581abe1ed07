"""`python -m benchmarks.tasks`: every task against its plain pipeline or `generate` loop.

Both in one process and one run, in the same precision, on the same rows and weights, taking turns
`--repeats` times; medians count, loading does not. labelmill's side is what its stages run: encode,
microbatches through the engine that a job would take (`--engine pytorch`: the one that the plain
side has), decode; Ray, files and the ledger are not in it (benchmarks.label has the whole). It is
one thread for both: a job's CPU tasks have a core each. On a CPU it is processor time, which other
work on the machine disturbs less than the clock.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from huggingface_hub import constants
from tests.support import audio_models, image_models, labelling, models

from benchmarks import task_models, task_peers
from labelmill import checkpoints, engines
from labelmill.ops import fields as notation
from labelmill.ops import plugins
from labelmill.plan.runtime import use_of
from labelmill.stages.inference import Inference
from labelmill.tasks import model_class

Run = Callable[[], Any]
_NLI = {"labels": ["good", "bad", "slow"]}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison."""

    task: str
    build: Callable[[Path, str], str]
    rows: Callable[[int], Mapping[str, list[Any]]]
    peer: Callable[..., Run]
    options: Mapping[str, Any] = field(default_factory=dict)
    call: Mapping[str, Any] = field(default_factory=dict)  # of the peer
    share: int = 1  # one row for so many of --rows
    kind: str = ""  # of model, where a task has several

    @property
    def name(self) -> str:
        """As the table has it."""
        return f"{self.task} ({self.kind})" if self.kind else self.task


def texts(rows: int, median: int = 60) -> list[str]:
    """Words in lengths like those of the web: a few long, most short."""
    random, words = np.random.default_rng(7), models.WORDS.split()
    lengths = np.clip(random.lognormal(np.log(median), 0.9, rows), 3, 480).astype(int)
    return [" ".join(random.choice(words, size)) for size in lengths]


def _texts(rows: int) -> Mapping[str, list[Any]]:
    return {"text": texts(rows)}


def _pairs(rows: int) -> Mapping[str, list[Any]]:
    return {"question": texts(rows, 8), "context": texts(rows, 80)}


def _masked(rows: int) -> Mapping[str, list[Any]]:
    return {"text": [f"{text} [MASK]" for text in texts(rows, 30)]}


def _pictures(rows: int) -> Mapping[str, list[Any]]:
    made = [image_models.encoded_as(image_models.picture(n, 320, 240), "JPEG") for n in range(32)]
    return {"image": [made[n % 32] for n in range(rows)]}


def _sounds(rows: int) -> Mapping[str, list[Any]]:
    random = np.random.default_rng(3)
    made = [audio_models.file(audio_models.tone(s, n)) for n, s in
            enumerate(random.uniform(1, 6, 32))]  # fmt: skip
    return {"audio": [made[n % 32] for n in range(rows)]}


def _piped(
    task: str, name: str, rows: Callable[[int], Mapping[str, list[Any]]], **more: Any
) -> Case:
    names = more.pop("names", task_models.LABELS)
    return Case(
        task=task,
        build=lambda folder, size: task_models.encoder(folder, name, size, names),
        rows=rows,
        peer=partial(task_peers.pipeline, task),
        **more,
    )


_WRITTEN = {"max_new_tokens": 32}
CASES = [
    _piped("text-classification", "AutoModelForSequenceClassification", _texts,
           call={"truncation": True}),
    _piped("token-classification", "AutoModelForTokenClassification", _texts,
           names=task_models.TAGS, call={"aggregation_strategy": "simple"}),
    _piped("fill-mask", "AutoModelForMaskedLM", _masked),
    Case(task="zero-shot-classification", build=task_models.entailment, rows=_texts, share=3,
         peer=partial(task_peers.pipeline, "zero-shot-classification"), options=_NLI,
         call={"candidate_labels": _NLI["labels"]}),
    Case(task="question-answering", rows=_pairs, peer=task_peers.questions,
         build=lambda folder, size: task_models.encoder(
             folder, "AutoModelForQuestionAnswering", size, ["start", "end"])),
    Case(task="feature-extraction", rows=_texts, peer=task_peers.embeddings,
         build=lambda folder, size: task_models.encoder(folder, "AutoModel", size)),
    Case(task="summarization", build=task_models.t5, rows=_texts, share=8,
         peer=task_peers.writing("AutoModelForSeq2SeqLM"), options=_WRITTEN, call=_WRITTEN),
    Case(task="translation", build=task_models.t5, rows=_texts, share=8,
         peer=task_peers.writing("AutoModelForSeq2SeqLM"), options=_WRITTEN, call=_WRITTEN),
    Case(task="text-generation", build=task_models.llama, rows=_texts, share=8,
         peer=task_peers.writing("AutoModelForCausalLM"), options=_WRITTEN, call=_WRITTEN),
    Case(task="image-classification", build=task_models.vit, rows=_pictures, share=4,
         peer=partial(task_peers.pipeline, "image-classification")),
    Case(task="zero-shot-image-classification", build=task_models.clip, rows=_pictures,
         peer=partial(task_peers.pipeline, "zero-shot-image-classification"),
         options={"labels": ["a dog", "a fox"]}, call={"candidate_labels": ["a dog", "a fox"]}),
    Case(task="audio-classification", rows=_sounds, share=16,
         build=lambda folder, size: task_models.wav2vec2(
             folder, "AutoModelForAudioClassification", size),
         peer=partial(task_peers.pipeline, "audio-classification")),
    Case(task="automatic-speech-recognition", kind="CTC", rows=_sounds,
         build=lambda folder, _: audio_models.tiny_ctc(folder),
         peer=partial(task_peers.pipeline, "automatic-speech-recognition")),
    Case(task="automatic-speech-recognition", kind="Whisper", rows=_sounds, share=16,
         build=task_models.whisper,
         peer=partial(task_peers.pipeline, "automatic-speech-recognition"),
         options={"max_new_tokens": 24},
         # By itself the pipeline weighs five texts against each other.
         call={"generate_kwargs": {"max_new_tokens": 24, "num_beams": 1, "task": "transcribe"}}),
]  # fmt: skip


def ours(  # noqa: PLR0913, PLR0917 - what a side of the comparison is
    case: Case,
    path: str,
    fields: Mapping[str, list[Any]],
    device: str,
    precision: str,
    engine_name: str,
    budget: int | None,
) -> tuple[str, Run]:
    """The engine, and what the stages do with the rows of a split, in this process."""
    task = plugins.load_class("labelmill.tasks", case.task)()
    options = task.Options(**case.options)
    facts, processor = labelling.known(path, task.processor)
    local = checkpoints.resolve(path, None, trust_remote_code=False, allow_pickle=False)
    use = use_of(task, processor, facts, options, own_code=False)
    engine = engines.load(
        engines.choose(engine_name, precision, device, use)[0], local,
        model_class(task, facts, options), use.readout,
        precision=precision, device=device, threads=torch.get_num_threads(),
    )  # fmt: skip
    inference = Inference(engine, budget or engine.default_budget, facts.pad_token_id)
    given = labelling.columns(fields)
    kinds = {one.name: one.kind for one in notation.flat(task.fields)}
    nothing = pa.chunked_array([pa.nulls(len(next(iter(given.values()))), pa.large_string())])
    told = {name: nothing if kinds[name] == "media" else column for name, column in given.items()}

    def run() -> pa.Table:
        encoded = task.encode(given, processor, facts, options)
        done = inference.run(encoded)
        return task.decode(done.outputs, encoded, told, processor, facts, options)

    return engine.name, run


def main() -> None:
    """Run the comparison and print its table."""
    asked = _arguments()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = asked.size or ("base" if device == "cuda" else "small")
    torch.set_num_threads(1)
    precision = engines.choose("pytorch", "auto", device)[1]
    print(f"{device}, {precision}, {size} models, medians of {asked.repeats}")
    print(f"{'rows/s':40} {'rows':>5} {'labelmill':>10} {'plain':>10} {'times':>6}  engine")
    told = []
    for case in _cases(asked):
        try:
            told.append(_compare(case, size, device, precision, asked))
        except Exception as error:  # noqa: BLE001 - one case must not cost the others
            print(f"{case.name:40} failed: {error!r}", flush=True)
            told.append({"task": case.name, "failed": repr(error)})
            continue
        line = "{task:40} {rows:5d} {ours:10.1f} {plain:10.1f} {times:6.2f}  {engine}"
        print(line.format(**told[-1]), flush=True)
    if asked.out:
        Path(asked.out).write_text(json.dumps(told, indent=1) + "\n")


def _cases(asked: argparse.Namespace) -> list[Case]:
    """Those asked for, with the weights and lengths asked for."""
    own = dict(one.split("=", 1) for one in asked.model)
    cases = [one for one in CASES if not asked.tasks or one.task in asked.tasks.split(",")]
    written = {"max_new_tokens": asked.new_tokens}
    cases = [
        replace(one, options=written, call=written) if one.options is _WRITTEN else one
        for one in cases
    ]
    if asked.texts:
        given = Path(asked.texts).read_text("utf-8").splitlines()
        cases = [
            replace(one, rows=lambda rows: {"text": [given[n % len(given)] for n in range(rows)]})
            if one.rows is _texts
            else one
            for one in cases
        ]
    return [
        replace(one, build=lambda *_, path=own[one.task]: path) if one.task in own else one
        for one in cases
    ]


def _compare(
    case: Case, size: str, device: str, precision: str, asked: argparse.Namespace
) -> dict[str, Any]:
    rows = max(asked.rows // case.share, 32)
    fields = case.rows(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = case.build(Path(folder) / "model", size)
        constants.HF_HOME = folder  # where converted models are kept: these go with the weights
        engine, run = ours(case, path, fields, device, precision, asked.engine, asked.budget)
        runs: dict[str, Callable[[], Any]] = {
            "ours": run,
            "plain": partial(case.peer(path, fields, device, precision, **case.call)),
        }
        clock = time.process_time if device == "cpu" else time.perf_counter
        taken: dict[str, list[float]] = {"ours": [], "plain": []}
        for repeat in range(asked.repeats + 1):  # the first warms up
            for name in sorted(runs, reverse=bool(repeat % 2)):
                started = clock()
                runs[name]()
                if repeat:
                    taken[name].append(clock() - started)
    speed = {name: rows / statistics.median(seconds) for name, seconds in taken.items()}
    facts = {"device": device, "precision": precision, "size": size, "engine": engine}
    times = speed["ours"] / speed["plain"]
    return {"task": case.name, "rows": rows, **facts, **speed, "times": times}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tasks", description=__doc__)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tasks", default="", help="names with commas (default: all)")
    parser.add_argument("--size", choices=("small", "base"), help="default: by the device")
    parser.add_argument("--model", action="append", default=[], metavar="TASK=DIR",
                        help="real weights for a task (default: random ones)")  # fmt: skip
    parser.add_argument("--texts", help="file of a text a line (default: random words)")
    parser.add_argument("--new-tokens", type=int, default=_WRITTEN["max_new_tokens"])
    parser.add_argument("--engine", choices=("auto", "pytorch"), default="auto")
    parser.add_argument("--budget", type=int, help="tokens of a microbatch (default: the engine's)")
    parser.add_argument("--out", help="JSON file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
