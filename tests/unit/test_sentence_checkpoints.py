"""Sentence-transformers directories: which of their files count, and what is read from them."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import fsspec
import pytest
import torch
from safetensors.torch import save_file

from labelmill import checkpoints
from labelmill.batch import SentenceFacts
from labelmill.errors import ModelError
from labelmill.models.dense import dense_layer
from labelmill.ops import embeddings
from tests.support.sentence_models import WIDTH, tiny_encoder

TYPES = "sentence_transformers.models."


@pytest.fixture
def model(tmp_path) -> Path:
    """Laid out as sentence-transformers lays it out, by hand: encoder, mean, dense, normalize."""
    place = Path(tiny_encoder(tmp_path / "model"))
    kinds = {"Transformer": "", "Pooling": "1_Pooling", "Dense": "2_Dense"}
    write(place, "modules.json", listed({**kinds, "Normalize": "3_Normalize"}))
    write(place, "sentence_bert_config.json", {"max_seq_length": 20, "do_lower_case": False})
    prompts = {"query": "query: ", "document": ""}
    write(place, "config_sentence_transformers.json", {"prompts": prompts})
    pooling = {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True}
    write(place, "1_Pooling/config.json", pooling)
    dense = {"in_features": WIDTH, "out_features": 5, "bias": True}
    dense["activation_function"] = "torch.nn.modules.activation.Tanh"
    write(place, "2_Dense/config.json", dense)
    weights = {"linear.weight": torch.eye(5, WIDTH), "linear.bias": torch.ones(5)}
    save_file(weights, place / "2_Dense/model.safetensors")
    return place


def listed(kinds: dict[str, str]) -> list[dict[str, object]]:
    return [{"path": path, "type": TYPES + kind} for kind, path in kinds.items()]


def write(place: Path, name: str, content: object) -> None:
    (place / name).parent.mkdir(exist_ok=True)
    (place / name).write_text(json.dumps(content))


def edit(place: Path, name: str, **changes: object) -> None:
    write(place, name, json.loads((place / name).read_text()) | changes)


def resolve(path, *, allow_pickle=False):
    return checkpoints.resolve(str(path), None, trust_remote_code=False, allow_pickle=allow_pickle)


def sentence(model) -> SentenceFacts:
    found = checkpoints.facts(resolve(model)).sentence
    assert found is not None
    return found


# Files


@pytest.mark.parametrize(
    "name",
    [
        "modules.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "2_Dense/model.safetensors",
    ],
)
def test_digest_changes_with_every_file_of_a_module(model, name):
    before = resolve(model).digest
    (model / name).write_bytes((model / name).read_bytes() + b" ")
    assert resolve(model).digest != before


@pytest.mark.parametrize(
    "name", ["4_Dense/config.json", "onnx/model.safetensors", "2_Dense/README.md"]
)
def test_digest_ignores_folders_that_are_no_module_and_what_changes_nothing(model, name):
    before = resolve(model).digest
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_bytes(b"something")
    assert resolve(model).digest == before


def test_digest_of_a_pickled_dense_layer_counts_only_where_pickles_are_allowed(model):
    strict, lax = resolve(model).digest, resolve(model, allow_pickle=True).digest
    (model / "2_Dense" / "pytorch_model.bin").write_bytes(b"a pickle")
    assert resolve(model).digest == strict
    assert resolve(model, allow_pickle=True).digest != lax


def test_resolve_store_copies_the_modules_too(model, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    memory = fsspec.filesystem("memory")
    memory.put(f"{model}/", "/sentences/model/", recursive=True)
    memory.pipe("/sentences/model/onnx/model.safetensors", b"nobody needs it")
    try:
        found = resolve("memory://sentences/model")
        names = {file.relative_to(found.path).as_posix() for file in Path(found.path).rglob("*.*")}
        assert "2_Dense/model.safetensors" in names
        assert "onnx/model.safetensors" not in names
        assert found.digest == resolve(model).digest
        memory.pipe("/sentences/model/1_Pooling/config.json", b"{}")
        assert resolve("memory://sentences/model").path != found.path
    finally:
        memory.rm("/sentences", recursive=True)


@pytest.mark.parametrize(
    "content",
    [
        {},
        [{"path": "1_Pooling"}],
        [{"type": "Pooling"}],
        [{"path": "../other", "type": "Pooling"}],
        [{"path": "/etc", "type": "Pooling"}],
        [{"path": None, "type": "Pooling"}],
        "no list",
    ],
)
def test_resolve_modules_that_cannot_be_used_are_refused(model, content):
    write(model, "modules.json", content)
    if content == {}:
        assert sentence(model).fault is not None
        return
    with pytest.raises(ModelError, match=r"'modules\.json' cannot be used"):
        resolve(model)


# Facts


def test_facts_are_what_the_files_say(model):
    assert sentence(model) == SentenceFacts(
        pooling="mean",
        dimensions=5,
        normalize=True,
        dense=("2_Dense",),
        max_length=20,
        prompts={"query": "query: ", "document": ""},
    )


def test_facts_without_modules_are_none(tmp_path):
    path = tiny_encoder(tmp_path / "model")
    assert checkpoints.facts(resolve(path)).sentence is None
    assert checkpoints.facts(resolve(path)).hidden_size == WIDTH


@pytest.mark.parametrize(
    ("said", "pooling", "fault"),
    [
        ({"pooling_mode": "cls"}, "cls", None),
        ({"pooling_mode": ["max"]}, "max", None),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_lasttoken": True}, "last", None),
        ({"pooling_mode_mean_tokens": False}, "mean", None),
        ({"pooling_mode_cls_token": True}, "mean", "'cls+mean'"),
        ({"pooling_mode": ["mean", "max"]}, "mean", "'mean+max'"),
        ({"pooling_mode": "weightedmean"}, "mean", "'weightedmean'"),
    ],
)
def test_facts_pooling_in_words_and_in_flags(model, said, pooling, fault):
    edit(model, "1_Pooling/config.json", **said)
    assert sentence(model).pooling == pooling
    assert (sentence(model).fault is None) == (fault is None)
    assert fault is None or fault in str(sentence(model).fault)


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ({"Transformer": "", "Normalize": "n", "Pooling": "1_Pooling"}, "in this order"),
        ({"Transformer": "", "Pooling": "1_Pooling", "LSTM": "lstm"}, "'LSTM'"),
        ({"Transformer": ""}, "expected Transformer, Pooling"),
        ({"Transformer": "0_Transformer", "Pooling": "1_Pooling"}, "'0_Transformer'"),
    ],
)
def test_facts_modules_we_cannot_follow_are_a_fault_and_no_error(model, kinds, words):
    write(model, "modules.json", listed(kinds))
    assert words in str(sentence(model).fault)


@pytest.mark.parametrize(
    "said", [{"use_residual": True}, {"module_input_name": "token_embeddings"}]
)
def test_facts_dense_layer_of_another_kind_is_a_fault(model, said):
    edit(model, "2_Dense/config.json", **said)
    assert "'2_Dense'" in str(sentence(model).fault)


@pytest.mark.parametrize("folder", ["1_Pooling", "2_Dense"])
def test_facts_module_whose_file_is_lost_is_a_fault(model, folder):
    (model / folder / "config.json").unlink()
    facts = checkpoints.facts(resolve(model))
    with pytest.raises(ModelError, match=f"{folder}' has no config"):
        embeddings.described(facts)


def test_facts_keep_how_many_numbers_a_vector_has(model):
    edit(model, "config_sentence_transformers.json", truncate_dim=8)
    assert sentence(model).truncate == 8


@pytest.mark.parametrize("how", [{"text": {"max_length": 6}}, {"common": {"padding": True}}])
def test_facts_settings_of_its_tokenizer_are_a_fault(model, how):
    edit(model, "sentence_bert_config.json", processing_kwargs=how)
    assert "processing_kwargs" in str(sentence(model).fault)


# Dense layers


def layer(model, *, allow_pickle=False):
    return dense_layer(resolve(model, allow_pickle=allow_pickle), "2_Dense", "cpu")


def test_dense_layer_is_linear_and_its_activation(model):
    inputs = torch.arange(WIDTH, dtype=torch.float32)[None] / WIDTH
    assert torch.allclose(layer(model)(inputs), torch.tanh(inputs[:, :5] + 1))
    edit(model, "2_Dense/config.json", activation_function="torch.nn.modules.linear.Identity")
    assert torch.allclose(layer(model)(inputs), inputs[:, :5] + 1)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"activation_function": "os.system"}, "'os.system', expected a class of torch"),
        ({"activation_function": "torch.nn.functional"}, "expected a class of torch"),
        ({"out_features": 6}, "size mismatch"),
        ({"in_features": None}, "cannot be loaded"),
    ],
)
def test_dense_layer_that_does_not_do_is_refused(model, said, words):
    edit(model, "2_Dense/config.json", **said)
    with pytest.raises(ModelError, match=words):
        layer(model)


def test_dense_layer_pickled_needs_allow_pickle(model):
    weights = {"linear.weight": torch.eye(5, WIDTH), "linear.bias": torch.zeros(5)}
    torch.save(weights, model / "2_Dense" / "pytorch_model.bin")
    (model / "2_Dense" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.allow_pickle"):
        layer(model)
    inputs = torch.ones(1, WIDTH)
    assert torch.allclose(layer(model, allow_pickle=True)(inputs), torch.tanh(inputs[:, :5]))


# The hub, as its own cache lays it out, without network

COMMIT = "0123456789abcdef0123456789abcdef01234567"
RESOLVE = """
    from labelmill import checkpoints
    print(checkpoints.resolve(
        "org/tiny", None, trust_remote_code=False, allow_pickle=False
    ).digest)
"""


def test_resolve_cached_hub_id_counts_the_modules_too(model, tmp_path):
    """In a fresh process: huggingface_hub reads its environment when it is imported."""
    repository = tmp_path / "hub" / "models--org--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    shutil.copytree(model, repository / "snapshots" / COMMIT)
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(RESOLVE)],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == resolve(model).digest
