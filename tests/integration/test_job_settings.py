"""Settings of a job file whose effect is seen only in a whole job."""

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from labelmill.config.resources import ResourcesSection
from labelmill.engines.pytorch.engine import PyTorchEngine
from labelmill.errors import ConfigError, EngineError, InputError, ModelError
from labelmill.ledger.status import read_status
from labelmill.pipeline import Cluster, shape
from labelmill.plan.briefing import make_recipe
from labelmill.plan.plan import make_plan
from labelmill.plan.runtime import Resolved, refuse_no_compiling
from labelmill.stages.board import Board
from labelmill.stages.inference import open_inference
from labelmill.stages.predict import Replica
from labelmill.tasks import Work
from tests.support import inline
from tests.support.models import tiny_classifier
from tests.support.writing_models import tiny_decoder

TEXTS = [f"the quick brown fox {i} jumps over" * (1 + i % 4) for i in range(40)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_classifier(tmp_path_factory.mktemp("model") / "bert")


@pytest.fixture
def wavering(tmp_path: Path) -> str:
    """A model with two labels so close that half precision cannot tell them apart."""
    path = tmp_path / "wavering"
    tiny_classifier(path)
    weights = load_file(path / "model.safetensors")
    close = weights["classifier.weight"]
    close[0] = torch.where(torch.arange(close.shape[1]) % 2 == 0, close[1] * 1.0001, close[1])
    close[2] = 0
    save_file(weights, path / "model.safetensors", {"format": "pt"})
    return str(path)


def shard(tmp_path: Path, name: str = "a.jsonl", texts: list[str] | None = None) -> Path:
    path = tmp_path / "in" / name
    path.parent.mkdir(exist_ok=True)
    rows = enumerate(TEXTS if texts is None else texts)
    path.write_text("".join(json.dumps({"id": n, "text": text}) + "\n" for n, text in rows))
    return path


def job(
    tmp_path: Path,
    checkpoint: str,
    task: str = "text-classification",
    **sections: Mapping[str, Any],
) -> Any:
    settings: dict[str, Any] = {
        "task": task,
        "model": {"path": checkpoint, "precision": "float32"},
        "source": {"path": str(tmp_path / "in")},
        "output": {"path": str(tmp_path / "out")},
    }
    for name, values in sections.items():
        settings[name] = settings.get(name, {}) | values
    return inline.job_of(tmp_path, settings)


def run(tmp_path: Path, checkpoint: str, **sections: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of the output."""
    wanted = job(tmp_path, checkpoint, **sections)
    inline.label(wanted)
    parts = sorted(Path(wanted.output.path).glob("*.parquet"))
    return [row for part in parts for row in pq.read_table(part).to_pylist()]


def test_task_that_nobody_has_is_refused_with_the_near_miss(tmp_path: Path, model: str) -> None:
    settings = job(tmp_path, model).dump()

    with pytest.raises(ConfigError, match=r"clasification.*did you mean 'text-classification'"):
        inline.job_of(tmp_path, settings | {"task": "text-clasification"})


def test_revision_of_a_directory_is_refused(tmp_path: Path, model: str) -> None:
    shard(tmp_path)

    with pytest.raises(ModelError, match=r"model\.revision"):
        inline.label(job(tmp_path, model, model={"revision": "v2"}))


def test_engine_named_is_the_one_that_predicts_and_auto_is_recorded(
    tmp_path: Path, model: str
) -> None:
    shard(tmp_path)

    best = "pytorch" if importlib.util.find_spec("openvino") is None else "openvino"

    for wanted, name in (("pytorch", "pytorch"), ("auto", best)):
        path = str(tmp_path / wanted)
        run(tmp_path, model, model={"engine": wanted}, output={"path": path})

        status = read_status(path)
        assert [each["engine"] for each in status.replica.values()] == [name]
        assert status.manifest.settings["model.engine"] == name


def test_precision_is_what_the_model_works_in(tmp_path: Path, model: str) -> None:
    shard(tmp_path)
    exact = run(tmp_path, model)
    half = str(tmp_path / "half")

    rough = run(tmp_path, model, model={"precision": "bfloat16"}, output={"path": half})

    pairs = [[row["score"] for row in rows] for rows in (exact, rough)]
    assert 1e-6 < np.abs(np.subtract(*pairs)).max() < 0.1
    assert read_status(half).manifest.settings["model.precision"] == "bfloat16"
    assert read_status(str(tmp_path / "out")).agreement == {}
    (found,) = read_status(half).agreement.values()
    assert found["rows"] == len(TEXTS)


def test_precision_is_compared_also_where_the_first_shard_has_no_good_row(
    tmp_path: Path, model: str
) -> None:
    (shard(tmp_path, "a.jsonl").parent / "a.jsonl").write_text('{"id": 1}\n' * 3)
    shard(tmp_path, "b.jsonl")
    settings = {"model": {"precision": "bfloat16"}, "source": {"columns": {"text": "text"}}}

    run(tmp_path, model, **settings, output={"max_rejected": 1.0})

    (found,) = read_status(str(tmp_path / "out")).agreement.values()
    assert found["rows"] == len(TEXTS)


def test_min_agreement_stops_a_job_whose_labels_float32_would_not_give(
    tmp_path: Path, wavering: str
) -> None:
    shard(tmp_path)
    half = {"precision": "bfloat16"}

    with pytest.raises(EngineError, match=r"bfloat16 and float32.*model\.min_agreement"):
        run(tmp_path, wavering, model=half | {"min_agreement": 0.99})

    run(tmp_path, wavering, model=half | {"min_agreement": 0.0})
    (found,) = read_status(str(tmp_path / "out")).agreement.values()
    assert found["agreement"] < 0.9


_UPSIDE_DOWN = '''\
"""BERT that thinks the contrary."""

from transformers import BertForSequenceClassification


class UpsideDownForSequenceClassification(BertForSequenceClassification):
    def forward(self, input_ids=None, attention_mask=None, token_type_ids=None, **others):
        outputs = super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            **others,
        )
        outputs["logits"] = -outputs["logits"]
        return outputs
'''


def test_trust_remote_code_runs_the_code_of_the_checkpoint_and_only_then(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "hf"))
    monkeypatch.syspath_prepend(str(tmp_path / "hf"))
    shard(tmp_path)
    path = Path(tiny_classifier(tmp_path / "upside_down"))
    (path / "modeling_upside_down.py").write_text(_UPSIDE_DOWN)
    config = json.loads((path / "config.json").read_text())
    name = "UpsideDownForSequenceClassification"
    config["auto_map"] = {"AutoModelForSequenceClassification": f"modeling_upside_down.{name}"}
    (path / "config.json").write_text(json.dumps(config | {"architectures": [name]}))

    with pytest.raises(ModelError, match=r"model\.trust_remote_code"):
        run(tmp_path, str(path))
    trusted = run(tmp_path, str(path), model={"trust_remote_code": True})

    plain = run(tmp_path, model, output={"path": str(tmp_path / "plain")})
    assert all(
        ours["label"] != theirs["label"] for ours, theirs in zip(trusted, plain, strict=True)
    )


def test_allow_pickle_loads_weights_that_are_refused_without_it(tmp_path: Path, model: str) -> None:
    shard(tmp_path)
    path = Path(tiny_classifier(tmp_path / "pickled"))
    torch.save(load_file(path / "model.safetensors"), path / "pytorch_model.bin")
    (path / "model.safetensors").unlink()

    with pytest.raises(ModelError, match=r"model\.allow_pickle"):
        run(tmp_path, str(path))

    allowed = run(tmp_path, str(path), model={"allow_pickle": True})
    assert allowed == run(tmp_path, model, output={"path": str(tmp_path / "safe")})


def test_max_length_is_how_many_tokens_of_a_text_are_read(tmp_path: Path, model: str) -> None:
    shard(tmp_path, texts=[f"the quick brown {word}" for word in ("fox", "dog", "film", "plot")])

    cut = run(tmp_path, model, options={"max_length": 5})
    whole = run(tmp_path, model, output={"path": str(tmp_path / "whole")})

    assert len({row["score"] for row in cut}) == 1
    assert len({row["score"] for row in whole}) == 4
    tokens = [read_status(str(tmp_path / name)).tokens for name in ("out", "whole")]
    assert tokens == [4 * 5, 4 * 6]


def test_source_format_names_what_the_suffix_does_not(tmp_path: Path, model: str) -> None:
    path = shard(tmp_path, "a.log")

    with pytest.raises(InputError, match=r"a\.log.*source\.format"):
        run(tmp_path, model, source={"path": str(path)})

    rows = run(tmp_path, model, source={"path": str(path), "format": "jsonl"})
    assert [row["id"] for row in rows] == list(range(len(TEXTS)))
    assert (tmp_path / "out" / "a.log-00000.parquet").exists()


def test_source_path_may_be_a_file_a_glob_or_a_list(tmp_path: Path, model: str) -> None:
    for name, text in (("a.jsonl", "cat"), ("b.jsonl", "mat"), ("c.ndjson", "sat")):
        shard(tmp_path, name, [text])
    paths: dict[str, tuple[object, list[str]]] = {
        "file": (str(tmp_path / "in" / "b.jsonl"), ["mat"]),
        "glob": (str(tmp_path / "in" / "*.jsonl"), ["cat", "mat"]),
        "list": (
            [str(tmp_path / "in" / "a.jsonl"), str(tmp_path / "in" / "*.nd*")],
            ["cat", "sat"],
        ),
        "directory": (str(tmp_path / "in"), ["cat", "mat", "sat"]),
    }

    for name, (path, expected) in paths.items():
        rows = run(tmp_path, model, source={"path": path}, output={"path": str(tmp_path / name)})
        assert [row["text"] for row in rows] == expected


@pytest.mark.parametrize(
    ("bound", "sizes"),
    [({"split_rows": 15}, [15, 15, 10]), ({"split_bytes": "1KiB"}, [12, 10, 10, 8])],
)
def test_split_bounds_cut_the_parts(
    tmp_path: Path, model: str, bound: dict[str, Any], sizes: list[int]
) -> None:
    path = shard(tmp_path)

    run(tmp_path, model, source=bound)

    parts = sorted((tmp_path / "out").glob("*.parquet"))
    found = [pq.read_metadata(part).num_rows for part in parts]
    lengths = [len(line) for line in path.read_bytes().splitlines(keepends=True)]
    if "split_bytes" in bound:
        sizes = _filled(lengths, 1024)
        assert len(sizes) > 2
    assert found == sizes


def _filled(lengths: list[int], most: int) -> list[int]:
    """How many lines go into each piece of at most so many bytes."""
    sizes, room = [0], most
    for length in lengths:
        if length > room:
            sizes, room = [*sizes, 0], most
        sizes[-1] += 1
        room -= length
    return sizes


@pytest.mark.parametrize("budget", [64, 256])
def test_microbatch_tokens_bound_what_the_engine_gets(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    shard(tmp_path)
    given: list[int] = []
    forward = PyTorchEngine.forward

    def watched(engine: PyTorchEngine, microbatch: Any) -> Any:
        given.append(microbatch.inputs["input_ids"].size)
        return forward(engine, microbatch)

    monkeypatch.setattr(PyTorchEngine, "forward", watched)

    pytorch = {"engine": "pytorch"}
    run(tmp_path, model, model=pytorch, resources={"microbatch_tokens": budget})

    assert budget / 2 < max(given) <= budget
    (replica,) = read_status(str(tmp_path / "out")).replica.values()
    assert replica["budget"] == budget


def test_cpus_per_replica_are_the_threads_of_the_engine(tmp_path: Path, model: str) -> None:
    shard(tmp_path)
    before = torch.get_num_threads()
    here = Cluster(nodes=1, cores=8, cpus=8, gpus=0)
    found = shape(ResourcesSection(cpus_per_replica=3), here, "cpu", "scoring", 1)
    plan = inline.plan_of(job(tmp_path, model, model={"engine": "pytorch"}))

    try:
        open_inference(make_recipe(plan, plan.manifest, threads=found.threads, attempt="one"))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_day_that_templates_are_told_is_that_of_the_run_however_late_it_goes_on(
    tmp_path: Path,
) -> None:
    shard(tmp_path)
    short = {"max_new_tokens": 8}
    wanted = job(tmp_path, tiny_decoder(tmp_path / "gpt"), "text-generation", options=short)
    plan = inline.plan_of(wanted)
    began = replace(plan.manifest, created="2020-02-29T23:59:59+00:00")

    assert make_recipe(plan, began, threads=1, attempt="two").options.date == "2020-02-29"
    assert began.fingerprint == plan.manifest.fingerprint


def test_compile_is_for_a_gpu_and_reaches_the_engine(tmp_path: Path, model: str) -> None:
    shard(tmp_path)
    wanted = job(tmp_path, model, resources={"compile": True})
    with pytest.raises(ConfigError, match=r"resources\.compile: .* on 'cpu'.*set it to false"):
        inline.plan_of(wanted)

    gpu = Resolved(engine="pytorch", precision="bfloat16", device="cuda")
    plan = make_plan(wanted, lambda *_: gpu)
    threads = torch.get_num_threads()
    recipe = make_recipe(plan, plan.manifest, threads=threads, attempt="one")
    here = replace(recipe, runtime=replace(recipe.runtime, device="cpu"))
    with pytest.raises(EngineError, match=r"resources\.compile: .*'bert', bfloat16"):
        Replica(here, Board())
    open_inference(here, "float32")  # what replicas are compared with


@pytest.mark.parametrize("work", ["generating", "media"])
def test_compile_is_for_tasks_that_score_texts(tmp_path: Path, model: str, work: Work) -> None:
    shard(tmp_path)
    wanted = job(tmp_path, model, resources={"compile": True})
    gpu = Resolved(engine="pytorch", precision="bfloat16", device="cuda")
    refuse_no_compiling(wanted, gpu, "scoring")
    with pytest.raises(ConfigError, match=f"this one is '{work}'"):
        refuse_no_compiling(wanted, gpu, work)
    with pytest.raises(ConfigError, match="on 'cuda' in 'float32'; set it to false"):
        refuse_no_compiling(wanted, replace(gpu, precision="float32"), "scoring")


_SPREAD = """
    import json, sys
    from pathlib import Path
    from labelmill import pipeline
    from labelmill.cli.loading import load
    from labelmill.pipeline.ray_run import build
    from labelmill.pipeline.ray_session import session
    from labelmill.plan.briefing import make_recipe
    from labelmill.stages.board import Board
    from labelmill.stages.read import ReadWork
    from tests.support import inline

    job = load(sys.argv[1], ())
    plan = inline.plan_of(job)
    with session(verbose=False) as cluster:
        found = pipeline.shape(job.resources, cluster, sys.argv[2], plan.work, 1)
        recipe = make_recipe(plan, plan.manifest, threads=found.threads, attempt="one")
        works = [ReadWork(shard=shard, generation=0) for shard in plan.listing.shards]
        stage, told = build(recipe, works, found, Board())._logical_plan.dag, {}
        while stage.input_dependencies:
            told[stage.name] = [str(stage.compute), stage.ray_remote_args]
            (stage,) = stage.input_dependencies
    print(json.dumps(told))
"""


@pytest.mark.slow
def test_replicas_tokenizers_and_gpus_are_what_ray_is_told(tmp_path: Path, model: str) -> None:
    shard(tmp_path)
    job(tmp_path, model, resources={"replicas": 3, "tokenizers": 2, "gpus_per_replica": 0})

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_SPREAD), str(tmp_path / "job.yaml"), "cpu"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=os.environ | {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"},
    )

    told = json.loads(done.stdout.splitlines()[-1])
    tokenize, predict = told["MapBatches(_tokenize)"], told["MapBatches(_Predict)"]
    assert "size=2" in tokenize[0]
    assert "min_size=3, max_size=3" in predict[0]
    assert "max_tasks_in_flight_per_actor=2" in predict[0]
    assert predict[1]["num_gpus"] == 0
