"""Checkpoints: what may be a model, what its digest sees, and what is read from its config."""

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
import transformers

from labelmill import checkpoints
from labelmill.errors import ModelError
from tests.support.audio_models import tiny_ctc
from tests.support.models import tiny_classifier

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def model(tmp_path) -> Path:
    return Path(tiny_classifier(tmp_path / "model"))


def resolve(path, revision=None, *, trust_remote_code=False, allow_pickle=False):
    return checkpoints.resolve(
        str(path), revision, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle
    )


def edit(model, name="config.json", **changes):
    settings = json.loads((model / name).read_text())
    (model / name).write_text(json.dumps(settings | changes))


def pickled(model):
    """The same model with its weights as a pickle."""
    torch.save({"classifier.bias": torch.zeros(3)}, model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()


# Config


@pytest.mark.parametrize("changes", [{"id2label": ["a", "b"]}, {"dtype": "float99"}])
def test_facts_values_that_transformers_stumbles_over_are_told(model, changes):
    edit(model, **changes)
    with pytest.raises(ModelError, match=r"config\.json of model .* cannot be used"):
        checkpoints.facts(resolve(model))


# Directories


def test_resolve_directory_is_used_in_place(model):
    found = resolve(model)
    assert found.path == str(model)
    assert found.source == str(model)
    assert found.revision is None
    assert len(found.digest) == 64


def test_resolve_relative_directory_becomes_absolute(model, monkeypatch):
    monkeypatch.chdir(model.parent)
    assert resolve("model").path == str(model)
    assert resolve("model").digest == resolve(model).digest
    assert resolve(f"file://{model}").path == str(model)


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
)
def test_digest_changes_with_every_file_that_can_change_a_result(model, name):
    before = resolve(model).digest
    content = (model / name).read_bytes()
    (model / name).write_bytes(content[:-1] + b" " + content[-1:])
    assert resolve(model).digest != before


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "optimizer.pt",
        "flax_model.msgpack",
        "training_args.bin",
        "trainer_state.json",
        "onnx/model.onnx",
        "checkpoint-5/model.safetensors",
        "pytorch_model.bin",
        "run.py",
        ".gitattributes",
    ],
)
def test_digest_ignores_what_cannot_change_a_result(model, name):
    before = resolve(model).digest
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_bytes(b"something")
    assert resolve(model).digest == before


def test_digest_is_the_same_wherever_the_directory_lies(model, tmp_path):
    shutil.copytree(model, tmp_path / "elsewhere")
    assert resolve(tmp_path / "elsewhere").digest == resolve(model).digest


def test_resolve_missing_directory_names_the_near_miss(model):
    with pytest.raises(
        ModelError, match=r"looks like a directory, but there is none; did you mean 'model'"
    ):
        resolve(model.parent / "modle")


@pytest.mark.parametrize("path", ["./nothing", "~/no/such/thing", "a/b/c", "/nothing"])
def test_resolve_what_looks_like_a_path_is_not_sought_on_the_hub(path):
    with pytest.raises(ModelError, match="looks like a directory"):
        resolve(path)


def test_resolve_a_file_is_refused(model):
    with pytest.raises(ModelError, match="is a file"):
        resolve(model / "model.safetensors")


def test_resolve_directory_with_revision_is_refused(model):
    with pytest.raises(ModelError, match=r"model\.revision: 'main' is for hub ids"):
        resolve(model, "main")


def test_resolve_directory_without_config_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no 'config\.json'"):
        resolve(tmp_path)


def test_resolve_broken_config_is_refused(model):
    (model / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read as JSON"):
        resolve(model)


def test_resolve_code_needs_trust_remote_code(model):
    edit(model, auto_map={"AutoConfig": "configuration.Mine"})
    with pytest.raises(ModelError, match=r"model\.trust_remote_code"):
        resolve(model)
    trusted = resolve(model, trust_remote_code=True)
    (model / "configuration.py").write_text("")
    assert resolve(model, trust_remote_code=True).digest != trusted.digest


def test_resolve_pickled_weights_need_allow_pickle(model):
    pickled(model)
    with pytest.raises(ModelError, match=r"model\.allow_pickle"):
        resolve(model)
    allowed = resolve(model, allow_pickle=True)
    (model / "pytorch_model.bin").write_bytes(b"others")
    assert resolve(model, allow_pickle=True).digest != allowed.digest


def test_resolve_no_weights_is_refused(model):
    (model / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights"):
        resolve(model)


def test_resolve_index_with_a_missing_part_is_refused(model):
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(
        ModelError, match=r"incomplete: .*'model-00001-of-00002\.safetensors' \(1 missing of 2"
    ):
        resolve(model)


@pytest.mark.parametrize("allow_pickle", [False, True])
def test_resolve_index_of_pickles_beside_safetensors_needs_no_parts(model, allow_pickle):
    index = {"weight_map": {"a": "pytorch_model-00001-of-00002.bin"}}
    (model / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    assert resolve(model, allow_pickle=allow_pickle).path == str(model)
    (model / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"incomplete: .*'pytorch_model-00001-of-00002\.bin'"):
        resolve(model, allow_pickle=True)


def test_resolve_adapter_is_refused(model):
    (model / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="merge it"):
        resolve(model)


# Stores


@pytest.fixture
def stored(model):
    """The model behind memory://, with files beside it that nobody needs."""
    memory = fsspec.filesystem("memory")
    memory.put(f"{model}/", "/bucket/model/", recursive=True)
    memory.pipe("/bucket/model/README.md", b"hello")
    memory.pipe("/bucket/model/checkpoint-5/model.safetensors", b"old")
    yield "memory://bucket/model"
    memory.rm("/bucket", recursive=True)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """Where copies of stores go."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "labelmill"


def test_resolve_store_copies_what_counts_and_has_the_digest_of_the_directory(model, stored, home):
    found = resolve(stored)
    assert found.source == stored
    assert found.digest == resolve(model).digest
    assert Path(found.path).parent == home
    assert {file.name for file in Path(found.path).iterdir()} == {
        file.name for file in model.iterdir()
    }
    assert [entry.name for entry in home.iterdir()] == [Path(found.path).name]


def test_resolve_store_again_copies_nothing(stored, home):
    first = resolve(stored)
    written = {file: file.stat().st_mtime_ns for file in Path(first.path).iterdir()}
    assert resolve(stored) == first
    assert {file: file.stat().st_mtime_ns for file in Path(first.path).iterdir()} == written


def test_resolve_store_after_a_change_copies_anew(stored, home):
    first = resolve(stored)
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/model/config.json", memory.cat("/bucket/model/config.json") + b" ")
    second = resolve(stored)
    assert second.digest != first.digest
    assert second.path != first.path


def test_resolve_store_without_model_is_refused(home):
    with pytest.raises(ModelError, match="holds no model files"):
        resolve("memory://bucket/nothing")


# On another machine


def test_localize_directory_that_exists_is_taken(model):
    found = resolve(model)
    assert checkpoints.localize(found) == found


def test_localize_store_makes_its_own_copy(stored, home):
    found = resolve(stored)
    shutil.rmtree(home)
    assert checkpoints.localize(found) == found
    assert Path(found.path).is_dir()


def test_localize_changed_store_is_refused(stored, home):
    found = resolve(stored)
    shutil.rmtree(home)
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/model/config.json", memory.cat("/bucket/model/config.json") + b" ")
    with pytest.raises(ModelError, match="other files on this machine"):
        checkpoints.localize(found)


# The hub, as its own cache lays it out, without network

ASKED = {  # case -> hub id, revision, allow_pickle
    "pinned": ("org/tiny", None, False),
    "by commit": ("org/tiny", COMMIT, False),
    "unknown": ("org/other", None, False),
    "unknown revision": ("org/tiny", "v9", False),
    "malformed": ("org/ti ny", None, False),
    "pickled": ("org/pickled", None, False),
    "pickles allowed": ("org/pickled", None, True),
}

RESOLVE_ALL = """
    import json, sys
    from labelmill import checkpoints
    from labelmill.errors import ModelError
    answers = {}
    for case, (name, revision, allow_pickle) in json.loads(sys.argv[1]).items():
        try:
            found = checkpoints.resolve(
                name, revision, trust_remote_code=False, allow_pickle=allow_pickle
            )
            answers[case] = [found.path, found.revision, found.digest]
        except ModelError as error:
            answers[case] = str(error)
    print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory) -> Path:
    """A cache that holds org/tiny and org/pickled at COMMIT."""
    cache = tmp_path_factory.mktemp("hub")
    for name in ("tiny", "pickled"):
        repository = cache / f"models--org--{name}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(COMMIT)
        tiny_classifier(repository / "snapshots" / COMMIT)
    pickled(cache / "models--org--pickled" / "snapshots" / COMMIT)
    return cache


@pytest.fixture(scope="module")
def answers(hub):
    """What a fresh process resolves: huggingface_hub reads its environment when it is imported."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(hub)}
    program = [sys.executable, "-c", textwrap.dedent(RESOLVE_ALL), json.dumps(ASKED)]
    done = subprocess.run(
        program, env=environment, check=True, capture_output=True, text=True, timeout=120
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", ["pinned", "by commit"])
def test_resolve_cached_hub_id_is_pinned_to_its_commit(answers, hub, case):
    path, revision, digest = answers[case]
    assert path == str(hub / "models--org--tiny" / "snapshots" / COMMIT)
    assert revision == COMMIT
    assert digest == resolve(path).digest


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("unknown", "unset HF_HUB_OFFLINE"),
        ("unknown revision", "cannot be reached"),
        ("malformed", "not well formed"),
        ("pickled", "model.allow_pickle"),
    ],
)
def test_resolve_hub_id_that_cannot_be_had_says_what_to_do(answers, case, words):
    assert words in answers[case]


def test_resolve_cached_hub_id_with_pickles_is_taken_where_they_are_allowed(answers):
    assert answers["pickles allowed"][1] == COMMIT


# Facts


def test_facts_of_a_classifier_are_those_of_its_config(model):
    facts = checkpoints.facts(resolve(model))
    assert facts.model_type == "bert"
    assert facts.architecture == "BertForSequenceClassification"
    assert facts.labels == ("label a", "label b", "label c")
    assert facts.problem_type == "single_label_classification"
    assert facts.max_length == facts.positions == 64
    assert facts.pad_token_id == 0


@pytest.mark.parametrize(
    ("labels", "stated", "expected"),
    [
        (1, None, "regression"),
        (2, None, "single_label_classification"),
        (1, "multi_label_classification", "multi_label_classification"),
        (3, "regression", "regression"),
    ],
)
def test_facts_problem_type_stated_or_by_number_of_labels(tmp_path, labels, stated, expected):
    path = tiny_classifier(tmp_path, labels=labels, problem_type=stated)
    assert checkpoints.facts(resolve(path)).problem_type == expected


@pytest.mark.parametrize(
    ("architecture", "positions"),
    [
        ("roberta", 64),
        ("mpnet", 64),
        ("xlm-roberta", 64),
        ("gpt2", 64),
        ("deberta-v2", None),
        ("llama", None),
    ],
)
def test_facts_positions_are_those_that_can_hold_tokens(tmp_path, architecture, positions):
    facts = checkpoints.facts(resolve(tiny_classifier(tmp_path, architecture)))
    assert facts.positions == positions
    assert facts.max_length == 64


@pytest.mark.parametrize(("length", "expected"), [(10, 10), (1000, 64), (int(1e30), 64)])
def test_facts_max_length_is_the_lower_of_model_and_tokenizer(model, length, expected):
    edit(model, "tokenizer_config.json", model_max_length=length)
    assert checkpoints.facts(resolve(model)).max_length == expected


def test_facts_labels_are_in_the_order_of_their_ids(model):
    edit(model, id2label={"2": "z", "0": "x", "1": "y"})
    assert checkpoints.facts(resolve(model)).labels == ("x", "y", "z")


def test_facts_gap_in_the_label_ids_is_refused(model):
    edit(model, id2label={"0": "x", "2": "z"})
    with pytest.raises(ModelError, match=r"ids \[0, 2\]"):
        checkpoints.facts(resolve(model))


@pytest.mark.parametrize(
    "changes", [{"model_type": "no-such"}, {"model_type": None}, {"hidden_size": "x"}]
)
def test_facts_config_that_transformers_refuses_is_a_model_error(model, changes):
    edit(model, **changes)
    with pytest.raises(ModelError, match=r"config\.json"):
        checkpoints.facts(resolve(model))


def test_facts_padding_id_missing_in_config_is_the_tokenizers(tmp_path):
    model = Path(tiny_classifier(tmp_path, "gpt2"))
    edit(model, pad_token_id=None)
    assert checkpoints.facts(resolve(model)).pad_token_id == 1


def test_facts_padding_id_below_0_is_none(tmp_path):
    model = Path(tiny_classifier(tmp_path, "llama"))
    edit(model, pad_token_id=-1)
    assert checkpoints.facts(resolve(model)).pad_token_id == 1


class _Tokens:
    """A tokenizer that pads with the token that it ends texts with."""

    pad_token_id, bos_token_id = 2, 0

    def __call__(self, text):
        return {"input_ids": [0, *([9] * len(text)), 2]}


@pytest.mark.parametrize(("own", "found"), [(None, 0), (-1, 0), (2, 2), (7, 7)])
def test_padding_id_is_no_end_of_a_text_unless_the_config_says_so(own, found):
    config = transformers.LlamaConfig(pad_token_id=own)
    assert checkpoints.padding_id(config, _Tokens()) == found


def test_processor_of_ctc_may_have_tokens_that_the_model_lacks(tmp_path):
    """It embeds none, and writes those alone that it has."""
    path = Path(tiny_ctc(tmp_path))
    edit(path, vocab_size=json.loads((path / "config.json").read_text())["vocab_size"] - 1)
    checkpoints.processor(resolve(path))


# Processors


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta", "gpt2", "llama"])
def test_processor_missing_tokenizer_is_refused(tmp_path, architecture):
    """Where AutoTokenizer would make an empty one of most of these, without a word."""
    model = Path(tiny_classifier(tmp_path, architecture))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (model / name).unlink()
    with pytest.raises(ModelError, match="no tokenizer"):
        checkpoints.processor(resolve(model))


def test_processor_that_needs_no_files_is_taken(model):
    """Byte tokenizers have no vocabulary to save."""
    (model / "tokenizer.json").unlink()
    edit(model, vocab_size=1000)
    transformers.ByT5Tokenizer().save_pretrained(model)
    assert not checkpoints.processor(resolve(model)).is_fast


def test_processor_broken_tokenizer_is_refused(model):
    (model / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="no tokenizer that can be loaded"):
        checkpoints.processor(resolve(model))


def test_processor_of_another_model_is_refused(model, tmp_path):
    other = Path(tiny_classifier(tmp_path / "other", "roberta"))
    shutil.copy(other / "tokenizer.json", model / "tokenizer.json")
    with pytest.raises(ModelError, match="do not belong together"):
        checkpoints.processor(resolve(model))
