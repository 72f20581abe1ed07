"""Packed microbatches on a CUDA device: what padded float32 gives, within half precision."""

import numpy as np
import pytest
import torch

from labelmill.batch import Encoded, Ragged
from labelmill.batching import microbatches, outputs_in_order
from labelmill.checkpoints import Checkpoint
from labelmill.engines.pytorch.engine import PyTorchEngine
from labelmill.engines.pytorch.gelu import GeluLinear
from labelmill.engines.pytorch.packing import Packing
from labelmill.readouts import Embedding, Logits, TokenLogits
from labelmill.stages.inference import Inference
from tests.support.packed_models import ARCHITECTURES, PADDING, tiny_module

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
NOWHERE = Checkpoint(source="tiny", path="", revision=None, digest="")
TOLERANCE = 0.05  # of the largest output
READOUTS = [
    ("AutoModelForSequenceClassification", Logits()),
    ("AutoModelForTokenClassification", TokenLogits()),
    ("AutoModel", Embedding(pooling="mean")),
    ("AutoModel", Embedding(pooling="max")),
    ("AutoModel", Embedding(pooling="mean", skip=1)),
    ("AutoModel", Embedding(pooling="last")),
]


def encoded(rows=300, seed=0):
    chance = np.random.default_rng(seed)
    lengths = chance.integers(2, 65, rows).astype(np.int32)
    ids = chance.integers(5, 90, int(lengths.sum())).astype(np.int32)
    return Encoded(rows=np.arange(rows, dtype=np.int32), lengths=lengths, inputs={"input_ids": ids})


def engine_of(architecture, auto_class, readout, precision, packing, *, compiled=False):
    module = tiny_module(architecture, auto_class).to(getattr(torch, precision))
    return PyTorchEngine(
        module,
        readout,
        NOWHERE,
        precision=precision,
        device="cuda",
        packing=packing,
        compiled=compiled,
    )


def outputs_of(engine, rows, budget):
    pieces = [
        (batch.sequences, engine.forward(batch))
        for batch in microbatches(rows, budget, PADDING, packed=engine.packs)
    ]
    return outputs_in_order(pieces, len(rows))


def values_of(output):
    return output.values if isinstance(output, Ragged) else output


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize(("auto_class", "readout"), READOUTS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_on_cuda_is_what_padded_float32_is(architecture, auto_class, readout, precision):
    rows = encoded()
    packed = engine_of(architecture, auto_class, readout, precision, Packing())
    assert packed.packs
    exact = engine_of(architecture, auto_class, readout, "float32", None)
    found, wanted = outputs_of(packed, rows, 2000), outputs_of(exact, rows, 2000)
    for name, values in wanted.items():
        reference = values_of(values)
        apart = np.abs(values_of(found[name]) - reference).max()
        assert apart <= TOLERANCE * np.abs(reference).max()


@pytest.mark.parametrize("architecture", ["bert", "deberta-v2", "modernbert"])
def test_compiled_layers_give_what_plain_ones_give(architecture):
    rows = encoded()
    plain, compiled = (
        engine_of(architecture, *READOUTS[0], "bfloat16", Packing(), compiled=compiled)
        for compiled in (False, True)
    )
    wanted, found = (outputs_of(engine, rows, 2000)["logits"] for engine in (plain, compiled))
    assert np.abs(found - wanted).max() <= TOLERANCE * np.abs(wanted).max()


def test_gelu_in_the_product_is_as_near_to_exact_as_gelu_behind_it():
    torch.manual_seed(0)
    linear = torch.nn.Linear(256, 1024).cuda()
    values = torch.randn(4096, 256, device="cuda")
    with torch.inference_mode():
        exact = torch.nn.functional.gelu(linear(values))
        half, values = linear.bfloat16(), values.bfloat16()
        behind, within = torch.nn.functional.gelu(half(values)), GeluLinear(half)(values)
    errors = [(found.float() - exact).abs() for found in (within, behind)]
    assert errors[0].mean() <= errors[1].mean() * 1.05
    assert errors[0].max() <= errors[1].max() * 1.5


def test_packed_outputs_are_the_same_in_any_company():
    rows = encoded()
    engine = engine_of("roberta", *READOUTS[0], "bfloat16", Packing())
    small, large = (outputs_of(engine, rows, budget)["logits"] for budget in (100, 10**6))
    assert np.abs(small - large).max() <= TOLERANCE * np.abs(large).max()


def test_packed_out_of_memory_halves_the_budget_and_goes_on():
    rows = encoded(rows=20_000)
    engine = engine_of("bert", *READOUTS[0], "bfloat16", Packing())
    wanted = Inference(engine, 4096, PADDING).run(rows)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    # What other tests hold is counted, too.
    allowed = torch.cuda.memory_reserved() + 64 * 2**20
    torch.cuda.set_per_process_memory_fraction(allowed / total)
    try:
        inference = Inference(engine, 10**6, PADDING)
        done = inference.run(rows)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert inference.budget < int(rows.lengths.sum())
    largest = np.abs(wanted.outputs["logits"]).max()
    apart = np.abs(done.outputs["logits"] - wanted.outputs["logits"]).max()
    assert apart <= TOLERANCE * largest


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_host_does_not_wait_for_the_device_in_a_packed_microbatch(architecture):
    rows = encoded()
    engine = engine_of(architecture, *READOUTS[0], "bfloat16", Packing())
    batches = list(microbatches(rows, 2000, PADDING, packed=True))
    engine.forward(batches[0])
    torch.cuda.set_sync_debug_mode("error")
    try:
        coming = engine.forward(batches[1])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert coming["logits"].shape == (len(batches[1].lengths), 2)


def test_a_packed_microbatch_for_an_engine_that_pads_is_refused():
    engine = engine_of("bert", *READOUTS[0], "float32", None)
    (batch,) = microbatches(encoded(5), 10**6, PADDING, packed=True)
    with pytest.raises(AssertionError, match="does not pack"):
        engine.forward(batch)
