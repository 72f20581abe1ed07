"""vllm: what can be said of it where it is not installed."""

import importlib.util

import pytest

from labelmill import engines
from labelmill.checkpoints import Checkpoint
from labelmill.engines import vllm
from labelmill.errors import ConfigError, EngineError
from labelmill.readouts import Generation, Logits

CHECKPOINT = Checkpoint(path="/nowhere", source="nowhere", revision=None, digest="0")
HOW = {"precision": "bfloat16", "device": "cuda", "threads": 1}
absent = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here"
)

openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="the extra 'openvino' is not installed"
)


@absent
def test_not_installed_says_how_to_install_it():
    with pytest.raises(EngineError, match=r"pip install 'labelmill\[vllm\]'"):
        engines.choose("vllm", "auto")
    with pytest.raises(EngineError, match="not installed"):
        engines.load("vllm", CHECKPOINT, "AutoModelForCausalLM", Generation(), **HOW)


@pytest.mark.parametrize(
    ("auto_class", "readout"),
    [
        ("AutoModelForSequenceClassification", Logits()),
        ("AutoModelForSeq2SeqLM", Generation()),
    ],
)
def test_other_tasks_are_refused(auto_class, readout):
    with pytest.raises(ConfigError, match="text-generation only"):
        engines.load("vllm", CHECKPOINT, auto_class, readout, **HOW)


@pytest.mark.parametrize(
    ("engine", "precision", "device", "readout", "said"),
    [
        ("vllm", "auto", "cpu", Logits(), "text-generation only"),
        ("vllm", "auto", "cpu", Generation(), "needs 'cuda'"),
        pytest.param(
            "openvino", "float16", "cpu", Logits(), "compute in 'float16'", marks=openvino
        ),
        pytest.param(
            "openvino", "float32", "cpu", Generation(), "what this task asks", marks=openvino
        ),
    ],
)
def test_engine_that_cannot_is_refused_before_there_is_a_run(
    engine, precision, device, readout, said
):
    use = engines.Use(model_type="bert", readout=readout)
    with pytest.raises((ConfigError, EngineError), match=said):
        engines.choose(engine, precision, device, use)


def test_settings_that_it_does_not_have_are_refused():
    with pytest.raises(ConfigError, match="cannot do num_beams 4"):
        vllm._params(Generation(settings={"num_beams": 4}))


def test_settings_are_called_as_vllm_calls_them():
    greedy = Generation(settings={"num_beams": 1, "min_new_tokens": 3}, stop=("x",))
    assert vllm._params(greedy) == {
        "min_tokens": 3,
        "temperature": 0.0,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": 0.0,
        "max_tokens": 128,
        "stop": ["x"],
    }
    drawn = Generation(settings={"temperature": 0.7, "top_p": None}, sample=True, max_new_tokens=9)
    assert vllm._params(drawn) == {"temperature": 0.7, "max_tokens": 9, "stop": None}
