"""The pytorch engine: what it refuses to load, and what it does when memory runs out."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from labelmill import checkpoints, engines
from labelmill.batch import Microbatch
from labelmill.checkpoints.heads import names_head
from labelmill.engines import pytorch
from labelmill.errors import ConfigError, EngineError, ModelError
from labelmill.readouts import Embedding, Logits, TokenLogits
from tests.support.models import save_tiny, tiny_classifier

AUTO_CLASS = "AutoModelForSequenceClassification"


def found(path, *, allow_pickle=False):
    return checkpoints.resolve(str(path), None, trust_remote_code=False, allow_pickle=allow_pickle)


def opened(path, precision="float32", auto_class=AUTO_CLASS, readout=None, *, allow_pickle=False):
    return pytorch.load(
        found(path, allow_pickle=allow_pickle),
        auto_class,
        readout or Logits(),
        precision=precision,
        device="cpu",
        threads=1,
    )


def microbatch(rows, length):
    ids = np.arange(rows * length, dtype=np.int64).reshape(rows, length) % 90 + 5
    inputs = {"input_ids": ids, "token_type_ids": ids * 0, "attention_mask": ids * 0 + 1}
    return Microbatch(
        sequences=np.arange(rows), lengths=np.full(rows, length, np.int64), inputs=inputs
    )


def test_forward_a_microbatch_gives_float32_logits_in_its_order(tmp_path):
    engine = opened(tiny_classifier(tmp_path))
    whole = microbatch(4, 10)
    logits = engine.forward(whole)["logits"]
    assert logits.dtype == np.float32
    assert logits.shape == (4, 3)
    last = Microbatch(
        sequences=np.array([3]),
        lengths=whole.lengths[3:],
        inputs={name: v[3:] for name, v in whole.inputs.items()},
    )
    assert np.allclose(engine.forward(last)["logits"][0], logits[3], atol=1e-5)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_forward_half_precision_leaves_in_float32_and_nearly_agrees(tmp_path, precision):
    path = tiny_classifier(tmp_path)
    batch = microbatch(4, 10)
    exact = opened(path).forward(batch)["logits"]
    half = opened(path, precision).forward(batch)["logits"]
    assert half.dtype == np.float32
    assert 0 < np.abs(half - exact).max() < 0.1


def test_forward_inputs_that_the_model_does_not_take_are_left_out(tmp_path):
    """A DistilBERT saved with BERT's tokenizer brings token types."""
    assert opened(tiny_classifier(tmp_path, "distilbert")).forward(microbatch(2, 5))[
        "logits"
    ].shape == (2, 3)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_forward_decoder_without_padding_id_in_its_config_uses_the_tokenizers(
    tmp_path, architecture
):
    path = Path(tiny_classifier(tmp_path, architecture))
    batch = microbatch(3, 6)
    wanted = opened(path).forward(batch)["logits"]
    config = json.loads((path / "config.json").read_text())
    config["pad_token_id"] = None
    (path / "config.json").write_text(json.dumps(config))
    assert np.array_equal(opened(path).forward(batch)["logits"], wanted)


@pytest.mark.parametrize(
    "head", ["AutoModelForMaskedLM", "AutoModel", "AutoModelForTokenClassification"]
)
@pytest.mark.parametrize("architecture", ["bert", "roberta", "distilbert", "llama"])
def test_load_checkpoint_of_another_task_is_refused(tmp_path, architecture, head):
    if architecture == "llama" and head == "AutoModelForMaskedLM":
        head = "AutoModelForCausalLM"
    path = save_tiny(tmp_path, architecture, head)
    with pytest.raises(
        ModelError, match=r"expected one with a head 'ForSequenceClassification'|random"
    ):
        opened(path)


@pytest.mark.parametrize(
    ("architecture", "head"),
    [
        ("bert", AUTO_CLASS),
        ("gpt2", "AutoModelForCausalLM"),
        ("llama", "AutoModelForCausalLM"),
        ("modernbert", "AutoModelForTokenClassification"),
    ],
)
def test_a_head_that_config_json_names_is_there(tmp_path, architecture, head):
    checkpoint = found(save_tiny(tmp_path, architecture, head))
    assert names_head(checkpoints.facts(checkpoint), head)
    pytorch.examine(checkpoint, head, Logits())


@pytest.mark.parametrize("pickle", [False, True])
def test_examining_needs_the_names_of_the_weights_alone(tmp_path, pickle):
    path = Path(save_tiny(tmp_path, "bert", "AutoModel"))
    if pickle:
        weights = load_file(path / "model.safetensors")
        torch.save(weights, path / "pytorch_model.bin")
        (path / "model.safetensors").unlink()
    checkpoint = found(path, allow_pickle=pickle)
    assert not names_head(checkpoints.facts(checkpoint), AUTO_CLASS)
    with pytest.raises(ModelError, match=r"'classifier\.bias', 'classifier\.weight'.*random"):
        pytorch.examine(checkpoint, AUTO_CLASS, Logits())
    pytorch.examine(checkpoint, "AutoModel", Embedding())


def test_load_without_the_classifiers_weights_is_refused_by_their_names(tmp_path):
    path = Path(tiny_classifier(tmp_path))
    weights = load_file(path / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith("classifier")}
    save_file(kept, path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"'classifier\.bias', 'classifier\.weight'.*random"):
        opened(path)


def test_load_more_labels_than_the_weights_have_is_refused(tmp_path):
    path = Path(tiny_classifier(tmp_path))
    config = json.loads((path / "config.json").read_text())
    config["id2label"] = {str(number): f"label {number}" for number in range(5)}
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"'classifier\.bias' are of shape \(3,\).* \(5,\)"):
        opened(path)


def test_load_model_type_without_the_head_is_refused(tmp_path):
    with pytest.raises(ModelError, match="AutoModelForImageClassification"):
        opened(tiny_classifier(tmp_path), auto_class="AutoModelForImageClassification")


def test_load_damaged_weights_is_a_model_error(tmp_path):
    path = Path(tiny_classifier(tmp_path))
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="cannot be loaded"):
        opened(path)


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs", b"\x80\x02garbage"])
def test_load_damaged_pickle_is_a_model_error(tmp_path, content):
    path = Path(tiny_classifier(tmp_path))
    (path / "model.safetensors").unlink()
    (path / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        opened(path, allow_pickle=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_load_cuda_where_there_is_none_is_an_engine_error(tmp_path):
    path = tiny_classifier(tmp_path)
    checkpoint = checkpoints.resolve(path, None, trust_remote_code=False, allow_pickle=False)
    with pytest.raises(EngineError, match="no CUDA device"):
        pytorch.load(
            checkpoint, AUTO_CLASS, Logits(), precision="float32", device="cuda", threads=1
        )


def test_best_precision_on_this_cpu_is_one_that_it_computes_in():
    able = torch.cpu.get_capabilities()
    native = able.get("avx512_bf16", False) or able.get("amx_bf16", False)
    assert pytorch.best_precision("cpu") == ("bfloat16" if native else "float32")


def test_choose_auto_is_pytorch_in_the_best_precision_of_the_device():
    assert engines.choose("auto", "auto", "cpu") == ("pytorch", pytorch.best_precision("cpu"))
    assert engines.choose("auto", "auto") == engines.choose(
        "auto", "auto", engines.best_device("pytorch")
    )
    assert engines.choose("pytorch", "float16", "cpu") == ("pytorch", "float16")


def test_load_by_name_gives_an_engine_that_says_what_it_is(tmp_path):
    path = tiny_classifier(tmp_path)
    checkpoint = checkpoints.resolve(path, None, trust_remote_code=False, allow_pickle=False)
    engine = engines.load(
        "pytorch", checkpoint, AUTO_CLASS, Logits(), precision="float32", device="cpu", threads=1
    )
    assert (engine.name, engine.device, engine.precision) == ("pytorch", "cpu", "float32")
    assert engine.default_budget > 0
    assert engine.padding.multiple_of == 1
    engine.close()


def test_lengths_on_a_cpu_are_those_of_tiles_where_it_has_them(tmp_path, monkeypatch):
    path = tiny_classifier(tmp_path)
    checkpoint = checkpoints.resolve(path, None, trust_remote_code=False, allow_pickle=False)
    for able, multiple in ((True, 16), (False, 1)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: {"amx_bf16": able})
        engine = engines.load(
            "pytorch",
            checkpoint,
            AUTO_CLASS,
            Logits(),
            precision="bfloat16",
            device="cpu",
            threads=1,
        )
        assert engine.padding.multiple_of == multiple
        engine.close()


def test_load_unknown_engine_names_the_near_miss():
    with pytest.raises(ConfigError, match="did you mean 'pytorch'"):
        engines.choose("pytorhc", "auto", "cpu")


def test_load_pickled_weights_that_were_allowed(tmp_path):
    path = Path(tiny_classifier(tmp_path))
    wanted = opened(path).forward(microbatch(2, 5))["logits"]
    torch.save(load_file(path / "model.safetensors"), path / "pytorch_model.bin")
    (path / "model.safetensors").unlink()
    allowed = checkpoints.resolve(str(path), None, trust_remote_code=False, allow_pickle=True)
    engine = pytorch.load(
        allowed, AUTO_CLASS, Logits(), precision="float32", device="cpu", threads=1
    )
    assert np.array_equal(engine.forward(microbatch(2, 5))["logits"], wanted)


OUT_OF_MEMORY = """
    import resource, sys
    import numpy as np
    from labelmill.errors import OutOfMemory
    from tests.unit.test_pytorch_engine import microbatch, opened

    engine = opened(sys.argv[1])
    engine.forward(microbatch(2, 8))
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 64 * 2**20,) * 2)
    rows, failed = 2**14, 0
    while True:
        try:
            logits = engine.forward(microbatch(rows, 32))["logits"]
            break
        except OutOfMemory as error:
            assert "no memory on 'cpu'" in str(error), error
            failed += 1
            rows //= 2
    assert failed >= 1 and rows >= 64, (failed, rows)
    assert logits.shape == (rows, 3) and np.isfinite(logits).all()
    print("halved", failed)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS binds only on Linux")
def test_forward_without_memory_raises_out_of_memory_and_smaller_ones_succeed(tmp_path):
    path = tiny_classifier(tmp_path)
    program = [sys.executable, "-c", textwrap.dedent(OUT_OF_MEMORY), path]
    done = subprocess.run(program, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("halved")


def test_load_a_pretraining_checkpoint_has_the_head_of_masked_tokens(tmp_path):
    bert = opened(
        save_tiny(tmp_path / "bert", "bert", "AutoModelForPreTraining"),
        auto_class="AutoModelForMaskedLM",
        readout=TokenLogits(),
    )
    assert bert.forward(microbatch(1, 4))["logits"].lengths.tolist() == [4]
    electra = save_tiny(tmp_path / "electra", "electra", "AutoModelForPreTraining")
    with pytest.raises(ModelError, match="random"):
        opened(electra, auto_class="AutoModelForMaskedLM")
