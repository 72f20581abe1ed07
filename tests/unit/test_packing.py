"""The packed way: what it gives is what the padded way gives, for every model type that it takes.

On the CPU, in float32, with attention that loops over the sequences; that on CUDA is in tests/gpu.
"""

import functools

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

from labelmill.batch import Encoded, Ragged
from labelmill.batching import microbatches, outputs_in_order
from labelmill.checkpoints import Checkpoint
from labelmill.engines.pytorch import compiling
from labelmill.engines.pytorch import engine as engine_module
from labelmill.engines.pytorch.engine import PyTorchEngine
from labelmill.engines.pytorch.packing import Packing, lay_out
from labelmill.errors import EngineError
from labelmill.readouts import Embedding, Logits, TokenLogits
from tests.support.packed_models import ARCHITECTURES, DISENTANGLED, PADDING, tiny_module

NOWHERE = Checkpoint(source="tiny", path="", revision=None, digest="")
GRAINS = [Packing(grain=1), Packing(), Packing(grain=100)]
# An empty text has its special tokens; the longest has all positions.
LENGTHS = [2, 60, 9, 1, 64, 33, 17, 64, 5, 2, 48]


def encoded(architecture, seed=0):
    """Random ids, among them now and then that of padding; the second half of each is a pair's."""
    chance = np.random.default_rng(seed)
    lengths = np.array(LENGTHS, np.int32)
    ids = chance.integers(0, 90, lengths.sum()).astype(np.int32)
    inputs = {"input_ids": ids}
    if architecture in {"bert", "electra"}:
        halves = [np.arange(length) >= length // 2 for length in LENGTHS]
        inputs["token_type_ids"] = np.concatenate(halves).astype(np.int32)
    return Encoded(rows=np.arange(len(lengths), dtype=np.int32), lengths=lengths, inputs=inputs)


def engine_of(module, readout, packing, *, compiled=False):
    return PyTorchEngine(
        module,
        readout,
        NOWHERE,
        precision="float32",
        device="cpu",
        packing=packing,
        compiled=compiled,
    )


def outputs_of(engine, rows, budget):
    pieces = [
        (batch.sequences, engine.forward(batch))
        for batch in microbatches(rows, budget, PADDING, packed=engine.packs)
    ]
    return outputs_in_order(pieces, len(rows))


def compare(architecture, auto_class, readout, packing, budget=150, **settings):
    rows = encoded(architecture)
    padded = engine_of(tiny_module(architecture, auto_class, **settings), readout, None)
    packed = engine_of(tiny_module(architecture, auto_class, **settings), readout, packing)
    assert packed.packs
    assert not padded.packs
    found, wanted = outputs_of(packed, rows, budget), outputs_of(padded, rows, budget)
    assert set(found) == set(wanted)
    for name, values in wanted.items():
        if isinstance(values, Ragged):
            assert np.array_equal(found[name].lengths, values.lengths)
            np.testing.assert_allclose(found[name].values, values.values, atol=1e-5, rtol=1e-5)
        else:
            np.testing.assert_allclose(found[name], values, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("packing", GRAINS, ids=lambda packing: f"grain{packing.grain}")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_logits_of_sequences_are_the_padded_ones(architecture, packing):
    compare(architecture, "AutoModelForSequenceClassification", Logits(), packing)


@pytest.mark.parametrize("budget", [1, 10**6])
def test_packed_logits_do_not_depend_on_the_budget(budget):
    compare("bert", "AutoModelForSequenceClassification", Logits(), Packing(), budget)


@pytest.mark.parametrize(("architecture", "pooling"), [("modernbert", "mean"), ("eurobert", "bos")])
def test_packed_logits_do_not_depend_on_what_the_head_reads(architecture, pooling):
    auto_class = "AutoModelForSequenceClassification"
    compare(architecture, auto_class, Logits(), Packing(), classifier_pooling=pooling)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_logits_of_tokens_are_the_padded_ones(architecture):
    compare(architecture, "AutoModelForTokenClassification", TokenLogits(), Packing())


@pytest.mark.parametrize("architecture", ["bert", "roberta", "distilbert", "modernbert"])
def test_packed_starts_and_ends_of_answers_are_the_padded_ones(architecture):
    readout = TokenLogits(names=("start_logits", "end_logits"))
    compare(architecture, "AutoModelForQuestionAnswering", readout, Packing())


@pytest.mark.parametrize("kind", sorted(DISENTANGLED.keys() - {"convolution"}))
def test_packed_logits_of_deberta_are_the_padded_ones(kind):
    settings = DISENTANGLED[kind]
    compare("deberta-v2", "AutoModelForSequenceClassification", Logits(), Packing(), **settings)


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "last"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_embeddings_are_the_padded_ones(architecture, pooling):
    compare(architecture, "AutoModel", Embedding(pooling=pooling), Packing())


@pytest.mark.parametrize(
    "architecture", ["albert", "bert", "roberta", "xlm-roberta", "camembert", "ernie"]
)
def test_packed_pooler_outputs_are_the_padded_ones(architecture):
    compare(architecture, "AutoModel", Embedding(pooling="pooler"), Packing())


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_packed_embeddings_without_a_prompt_are_the_padded_ones(pooling):
    rows = encoded("bert").take(np.array([1, 2, 4, 5]), np.arange(4, dtype=np.int32))
    readout = Embedding(pooling=pooling, skip=3, normalize=False)
    ways = [
        outputs_of(engine_of(tiny_module("bert", "AutoModel"), readout, packing), rows, 100)
        for packing in (None, Packing())
    ]
    np.testing.assert_allclose(ways[1]["embedding"], ways[0]["embedding"], atol=1e-5)


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_packed_similarities_to_anchors_are_the_padded_ones(architecture):
    readout = Embedding(anchors=((2, 8, 9, 3), (2, 30, 3)))
    compare(architecture, "AutoModel", readout, Packing())


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("deberta-v2", {"relative_attention": False}),
        ("deberta-v2", {"conv_kernel_size": 3}),
        ("eurobert", {"classifier_pooling": "late"}),  # every token has logits, and they are pooled
    ],
)
def test_a_model_that_is_not_proved_stays_padded(architecture, settings):
    module = tiny_module(architecture, "AutoModelForSequenceClassification", **settings)
    assert not engine_of(module, Logits(), Packing()).packs


def test_an_encoder_of_a_checkpoints_own_code_stays_padded():
    class Own(MPNetEncoder):
        """It may add something else to the scores."""

    module = tiny_module("mpnet", "AutoModelForSequenceClassification")
    module.base_model.encoder.__class__ = Own
    assert not engine_of(module, Logits(), Packing()).packs


def test_a_decoder_stays_padded():
    module = tiny_module("bert", "AutoModelForSequenceClassification", is_decoder=True)
    assert not engine_of(module, Logits(), Packing()).packs


def test_a_model_that_packing_would_change_stays_padded(monkeypatch):
    """A way of attention that is not ours, found by the trial at loading."""
    module = tiny_module("bert", "AutoModelForSequenceClassification")
    monkeypatch.setattr(module, "set_attn_implementation", lambda _: None)
    engine = engine_of(module, Logits(), Packing())
    assert not engine.packs
    rows = encoded("bert")
    plain = engine_of(tiny_module("bert", "AutoModelForSequenceClassification"), Logits(), None)
    assert np.array_equal(
        outputs_of(engine, rows, 99)["logits"], outputs_of(plain, rows, 99)["logits"]
    )


@pytest.mark.parametrize("architecture", ["bert", "deberta-v2"])
def test_compiled_layers_give_what_plain_ones_give(architecture, monkeypatch):
    """The last layer has a hook that the others lack. Traced as ever, but not translated."""
    eagerly = functools.partial(compiling.compile_layers, backend="eager")
    monkeypatch.setattr(engine_module, "compile_layers", eagerly)
    monkeypatch.setattr(engine_module, "_COMPILED_WITH", 256)
    name, rows = "AutoModelForSequenceClassification", encoded(architecture)
    plain = engine_of(tiny_module(architecture, name), Logits(), Packing())
    compiled = engine_of(tiny_module(architecture, name), Logits(), Packing(), compiled=True)
    wanted, found = (outputs_of(engine, rows, 150)["logits"] for engine in (plain, compiled))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_model_that_is_padded_is_not_compiled():
    name = "AutoModelForSequenceClassification"
    module = tiny_module("deberta-v2", name, conv_kernel_size=3)
    with pytest.raises(EngineError, match=r"resources\.compile: .*'deberta-v2', float32"):
        engine_of(module, Logits(), Packing(), compiled=True)


def test_layers_that_cannot_be_compiled_say_so_when_the_model_is_loaded(monkeypatch):
    def broken(module, inputs):
        raise RuntimeError("no compiler here")

    failing = functools.partial(compiling.compile_layers, backend=broken)
    monkeypatch.setattr(engine_module, "compile_layers", failing)
    module = tiny_module("bert", "AutoModelForSequenceClassification")
    with pytest.raises(EngineError, match=r"resources\.compile: .*no compiler.*set it to false"):
        engine_of(module, Logits(), Packing(), compiled=True)


def test_layers_are_compiled_later_where_memory_does_not_do_for_the_trial(monkeypatch):
    def large(module, inputs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    failing = functools.partial(compiling.compile_layers, backend=large)
    monkeypatch.setattr(engine_module, "compile_layers", failing)
    module = tiny_module("bert", "AutoModelForSequenceClassification")
    assert engine_of(module, Logits(), Packing(), compiled=True).packs


@pytest.mark.parametrize("architecture", ["roberta", "deberta-v2", "mpnet"])
def test_an_engine_that_packs_takes_padded_microbatches_too(architecture):
    rows = encoded(architecture)
    name = "AutoModelForSequenceClassification"
    packs = engine_of(tiny_module(architecture, name), Logits(), Packing())
    plain = engine_of(tiny_module(architecture, name), Logits(), None)
    (batch,) = microbatches(rows, 10**6, PADDING)
    np.testing.assert_allclose(
        packs.forward(batch)["logits"], plain.forward(batch)["logits"], atol=1e-6
    )


# The layout, by hand


def packed_batch(counts, **inputs):
    rows = Encoded(
        rows=np.arange(len(counts), dtype=np.int32),
        lengths=np.array(counts, np.int32),
        inputs={name: np.array(values, np.int32) for name, values in inputs.items()},
    )
    (batch,) = microbatches(rows, 10**9, PADDING, packed=True)
    return batch


def parts(layout):
    size = len(layout.names) * layout.tokens
    return layout.numbers[:size].reshape(-1, layout.tokens).tolist(), layout.numbers[size:].tolist()


def test_lay_out_counts_positions_from_zero_in_each_sequence_and_fills_up():
    batch = packed_batch([1, 3], input_ids=[7, 8, 9, 10])
    layout = lay_out(batch, Packing(grain=6), padding=None, names=None)
    rows, bounds = parts(layout)
    assert layout.names == ("input_ids", "position_ids")
    assert rows == [[8, 9, 10, 7, 0, 0], [0, 1, 2, 0, 0, 0]]
    assert bounds == [0, 3, 4, 6]
    assert layout.longest == 128


def test_lay_out_counts_robertas_positions_behind_the_padding_id_without_padding():
    batch = packed_batch([2, 4], input_ids=[5, 6, 7, 1, 8, 9])
    layout = lay_out(batch, Packing(grain=1), padding=1, names=None)
    rows, _ = parts(layout)
    assert rows == [[7, 1, 8, 9, 5, 6], [2, 1, 3, 4, 2, 3]]


def test_lay_out_leaves_out_inputs_that_the_model_does_not_take():
    batch = packed_batch([2], input_ids=[5, 6], token_type_ids=[0, 1])
    layout = lay_out(batch, Packing(), padding=None, names=frozenset({"input_ids"}))
    assert layout.names == ("input_ids", "position_ids")


def test_lay_out_cuts_filler_into_sequences_no_longer_than_the_bound():
    batch = packed_batch([2] * 17, input_ids=[5] * 34)
    layout = lay_out(batch, Packing(grain=300), padding=None, names=None)
    assert layout.tokens == 300
    assert layout.lengths.tolist() == [2] * 17 + [128, 128, 10]


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40), st.sampled_from([1, 64, 1000]))
def test_lay_out_any_lengths_cover_every_token_once(counts, grain):
    batch = packed_batch(counts, input_ids=np.arange(sum(counts)))
    layout = lay_out(batch, Packing(grain=grain), padding=None, names=None)
    assert layout.tokens % grain == 0
    assert layout.lengths.sum() == layout.tokens
    assert layout.lengths.max() <= layout.longest
    assert layout.lengths[: len(counts)].tolist() == sorted(counts, reverse=True)


def test_the_registered_attention_leaves_other_models_alone():
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=2
    )
    model = transformers.BertModel(config)
    assert model.config._attn_implementation == "sdpa"
    assert model(torch.tensor([[1, 2, 3]])).last_hidden_state.shape == (1, 3, 8)
