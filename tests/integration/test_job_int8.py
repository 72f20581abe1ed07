"""A job in int8: calibrated on its own rows, compared on others, one model for the whole run."""

import importlib.util
import io
import json
import platform
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

pytest.importorskip("nncf", reason="the extra 'int8' is not installed")

import openvino
from huggingface_hub import constants

from labelmill import engines
from labelmill.batch import Encoded
from labelmill.engines import Use
from labelmill.engines.openvino import cache, quantization, runtime
from labelmill.errors import ConfigError, CorruptRun, EngineError, InputError
from labelmill.ledger import names
from labelmill.ledger.quantized import load
from labelmill.ledger.status import read_status
from labelmill.readouts import Logits
from labelmill.stages import quantization as stage
from labelmill.storage import open_store
from tests.support import inline
from tests.support.models import tiny_classifier
from tests.support.sentence_models import tiny_sentences

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog"]
TEXTS = [" ".join([WORDS[i % 9], WORDS[i // 9], *WORDS] * (1 + i % 4)) for i in range(60)]


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine of this module."""
    path = tmp_path_factory.getbasetemp() / "int8"
    monkeypatch.setattr(constants, "HF_HOME", str(path))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_classifier(tmp_path_factory.mktemp("model") / "bert")


def job(tmp_path: Path, path: str, **sections: Mapping[str, Any]) -> Any:
    folder = tmp_path / "in"
    folder.mkdir(exist_ok=True)
    for name, texts in (("a", TEXTS[:35]), ("b", TEXTS[35:])):
        lines = [json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(texts)]
        shard = folder / f"{name}.jsonl"
        if not shard.exists():
            shard.write_text("".join(lines))
    settings: dict[str, Any] = {
        "task": "text-classification",
        "model": {"path": path, "precision": "int8", "engine": "openvino", "min_agreement": 0.5},
        "source": {"path": str(folder), "split_rows": 10},
        "output": {"path": str(tmp_path / "out")},
    }
    for name, values in sections.items():
        settings[name] = settings.get(name, {}) | values
    return inline.job_of(tmp_path, settings)


def parts(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.glob("*.parquet"))}


def scores(directory: Path) -> Any:
    return np.concatenate([pq.read_table(directory / name)["score"] for name in parts(directory)])


def test_model_is_in_int8_and_its_agreement_is_the_self_check_of_the_run(
    tmp_path: Path, model: str, home: Path
) -> None:
    status = inline.label(job(tmp_path, model))

    (found,) = status.agreement.values()
    assert found["rows"] == 30  # every second one
    assert found["flips"] == round(30 * (1 - found["agreement"]))
    assert 0 < found["p99_difference"] <= found["largest_difference"] < 0.1
    assert [each["precision"] for each in status.replica.values()] == ["int8"]
    assert status.manifest.settings["model.precision"] == "int8"
    kinds = [
        str(op.get_element_type())
        for path in home.glob(f"labelmill/openvino/*/{cache.GRAPH}")
        for op in openvino.Core().read_model(path).get_ops()
        if op.get_type_name() == "Constant"
    ]
    assert any("int8" in kind or "i8" in kind for kind in kinds), set(kinds)

    exact = {"precision": "float32"}
    inline.label(job(tmp_path, model, model=exact, output={"path": str(tmp_path / "exact")}))
    off = np.abs(scores(tmp_path / "out") - scores(tmp_path / "exact"))
    assert 0 < off.max() < 0.1


def test_attention_is_not_in_int8(tmp_path: Path, model: str, home: Path) -> None:
    inline.label(job(tmp_path, model))
    digest = load(open_store(str(tmp_path / "out"))).digest  # type: ignore[union-attr]
    with zipfile.ZipFile(tmp_path / "out" / names.quantized_model(digest)) as files:
        files.extractall(home / "unpacked")
    graph = openvino.Core().read_model(home / "unpacked" / cache.GRAPH)

    kinds = [operation.get_type_name() for operation in graph.get_ops()]
    assert "FakeQuantize" in kinds
    found = [op for op in graph.get_ops() if op.get_type_name() == "ScaledDotProductAttention"]
    assert found
    given = {origin(op.input_value(port).get_node()) for op in found for port in range(3)}
    assert given <= {"Add", "MatMul"}  # of a dense layer; without a bias where it is zero


def origin(operation: Any) -> str:
    """The operation whose numbers these are."""
    kind: str = operation.get_type_name()
    moved = kind in {"Reshape", "Slice", "Transpose"}
    return origin(operation.input_value(0).get_node()) if moved else kind


def test_resumed_on_another_machine_it_is_the_same_model_to_the_byte(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = job(tmp_path, model)
    inline.label(whole)
    broken = job(tmp_path, model, output={"path": str(tmp_path / "broken")})
    inline.label(broken, splits=2)
    first = load(open_store(broken.output.path))

    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "another"))
    monkeypatch.setattr(engines, "quantize", lambda *_, **__: pytest.fail("quantized again"))
    inline.label(broken)

    assert load(open_store(broken.output.path)) == first
    assert parts(tmp_path / "broken") == parts(tmp_path / "out")


def test_model_that_saturates_here_is_refused_and_one_made_here_goes_anywhere(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for made_where_it_saturates in (True, False):
        output = {"path": str(tmp_path / f"made {made_where_it_saturates}")}
        wanted = job(tmp_path, model, output=output)
        monkeypatch.setattr(runtime, "saturates", lambda made=made_where_it_saturates: made)
        inline.label(wanted, splits=1)

        monkeypatch.setattr(runtime, "saturates", lambda: True)
        if made_where_it_saturates:
            inline.label(wanted, splits=1)
        else:
            with pytest.raises(ConfigError, match="made on a CPU with VNNI"):
                inline.label(wanted)
        monkeypatch.setattr(runtime, "saturates", lambda: False)
        assert inline.label(wanted).complete


def test_older_model_that_does_not_tell_its_bits_has_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path))  # its graph is none
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as older:
        for name in (cache.GRAPH, "graph.bin", "precision"):
            older.writestr(name, "float32")
    graph = quantization.unpacked(packed.getvalue, "older")
    assert (graph.rest, graph.portable) == ("float32", False)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="of other CPUs torch tells less")
def test_int8_saturates_where_the_cpu_has_no_vnni() -> None:
    able = torch.cpu.get_capabilities()
    vnni = any(able.get(name, False) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))
    assert runtime.saturates() == (not vnni)


def test_of_two_drivers_the_first_has_made_the_model_of_the_run(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(str(tmp_path / "out"))
    quantize, made = engines.quantize, []

    def beaten(*arguments: Any, **settings: Any) -> bytes:
        """Meanwhile another driver settles on a model of its own, from other rows."""
        data = quantize(*arguments, **settings)
        if not made:
            made.append(data)
            fewer = [*arguments[:4], arguments[4][:1]]
            theirs = quantize(*fewer, **settings)
            made.append(theirs)
            found = stage.Quantized(digest=stage.ledger.keep(store, theirs), agreement=_AGREED)
            stage.ledger.settle(store, found)
        return data

    monkeypatch.setattr(engines, "quantize", beaten)
    status = inline.label(job(tmp_path, model))

    ours, theirs = made
    assert ours != theirs
    standing = load(store)
    assert standing is not None
    assert stage.ledger.read(store, standing.digest) == theirs
    assert [dict(each) for each in status.agreement.values()] == [_AGREED]


_AGREED = {"rows": 9.0, "agreement": 1.0, "flips": 0.0, "largest_difference": 0.0}


def test_too_few_labels_of_float32_stop_the_job_until_it_asks_for_fewer(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = stage.agreement.record

    def flipped(agrees: Any, *tables: Any) -> Any:
        return record(np.arange(len(agrees)) >= 3, *tables)  # CPUs differ in int8

    monkeypatch.setattr(stage.agreement, "record", flipped)
    wanted = job(tmp_path, model, model={"min_agreement": 0.95})

    with pytest.raises(EngineError, match=r"int8 and float32.*27 of 30.*model\.min_agreement"):
        inline.label(wanted)
    assert parts(tmp_path / "out") == {}

    inline.label(job(tmp_path, model, model={"min_agreement": 0.9}))
    (found,) = read_status(str(tmp_path / "out")).agreement.values()
    assert found["flips"] == 3


def test_run_whose_model_is_gone_is_not_gone_on_with(tmp_path: Path, model: str) -> None:
    wanted = job(tmp_path, model)
    inline.label(wanted, splits=1)
    store = open_store(wanted.output.path)
    standing = load(store)
    assert standing is not None

    (tmp_path / "out" / names.quantized_model(standing.digest)).write_bytes(b"no model")
    with pytest.raises(CorruptRun, match=standing.digest[:8]):
        stage.ledger.read(store, standing.digest)
    store.delete(names.QUANTIZED)
    with pytest.raises(CorruptRun, match="the model that did it is gone"):
        inline.label(wanted)


def test_calibration_and_comparison_have_no_text_in_common_and_all_lengths(
    tmp_path: Path, model: str
) -> None:
    wanted = job(tmp_path, model)
    (tmp_path / "in" / "c.jsonl").write_text((tmp_path / "in" / "b.jsonl").read_text())
    plan = inline.plan_of(wanted)
    recipe = stage_recipe(plan)

    halves = stage._halves([*stage._pieces(recipe, plan.listing.shards)])

    texts = [[t for piece in half for t in piece.fields["text"].to_pylist()] for half in halves]
    assert sorted(texts[0] + texts[1]) == sorted(
        TEXTS
    )  # each once, though the source has some twice
    words = [np.sort([len(text.split()) for text in half]) for half in texts]
    assert np.abs(words[0] - words[1]).max() <= 11  # those of one step


@pytest.mark.parametrize(("tokens", "rows"), [(10, 300), (90, 182), (500, 128)])
def test_long_texts_are_calibrated_on_fewer_rows(tokens: int, rows: int) -> None:
    count = 1000
    encoded = Encoded(
        rows=np.arange(count, dtype=np.int32),
        lengths=np.full(count, tokens, np.int32),
        inputs={"input_ids": np.arange(count * tokens, dtype=np.int32)},
    )

    calibration, compared = stage._halves([stage._Piece(encoded, {})])

    assert sum(len(piece.encoded) for piece in calibration) == rows
    assert sum(len(piece.encoded) for piece in compared) == count // 2


def stage_recipe(plan: Any) -> Any:
    from labelmill.plan.briefing import make_recipe

    return make_recipe(plan, plan.manifest, threads=1, attempt="one")


def test_source_of_one_row_cannot_be_calibrated_and_compared(tmp_path: Path, model: str) -> None:
    wanted = job(tmp_path, model, source={"path": str(tmp_path / "in" / "a.jsonl")})
    (tmp_path / "in" / "a.jsonl").write_text('{"text": "one"}\n' * 3)

    with pytest.raises(InputError, match="1 different rows"):
        inline.label(wanted)


@pytest.mark.faults
def test_embeddings_in_int8_keep_their_direction(tmp_path: Path) -> None:
    path = str(tiny_sentences(tmp_path / "sentences"))
    wanted = job(tmp_path, path).dump() | {"task": "feature-extraction", "options": {}}

    (found,) = inline.label(inline.job_of(tmp_path, wanted)).agreement.values()

    assert (found["rows"], found["agreement"]) == (30, 1.0)


def test_only_its_engine_computes_in_int8() -> None:
    use = Use(model_type="bert", readout=Logits())
    assert engines.choose("auto", "int8", "cpu", use) == ("openvino", "int8")
    assert engines.choose("openvino", "int8", "cpu", use) == ("openvino", "int8")
    for engine in ("pytorch", "vllm"):
        with pytest.raises(ConfigError, match=f"'openvino', and the engine '{engine}'"):
            engines.choose(engine, "int8", "cpu", use)
    with pytest.raises(ConfigError, match="takes 'pytorch' here"):
        engines.choose("auto", "int8", "cpu", Use(model_type="longformer", readout=Logits()))
    assert engines.choose("openvino", "auto", "cpu", use)[1] != "int8"


def test_without_nncf_the_error_says_what_to_install(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "nncf" else find(name)
    )

    with pytest.raises(ConfigError, match=r"pip install 'labelmill\[int8\]'"):
        inline.label(job(tmp_path, model))
