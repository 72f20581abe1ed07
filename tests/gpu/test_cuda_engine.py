"""The PyTorch engine on a CUDA device: the CPU's labels, and memory that runs out for real."""

import numpy as np
import pytest
import torch

from labelmill import checkpoints
from labelmill.batch import Encoded
from labelmill.engines import pytorch
from labelmill.readouts import Logits
from labelmill.stages.inference import Inference
from labelmill.tasks.text_classification import TextClassification
from tests.support import labelling
from tests.support.models import tiny_classifier

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
TEXTS = [f"the cat sat on mat {i}" * (1 + i % 7) for i in range(100)]


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("auto", 0.02)])
def test_cuda_scores_equal_those_of_the_cpu(
    tmp_path_factory: pytest.TempPathFactory, precision: str, tolerance: float
) -> None:
    path = tiny_classifier(str(tmp_path_factory.mktemp("model") / "bert"))
    task, options = TextClassification(), TextClassification.Options()
    facts, processor, on_cpu = labelling.opened(path, task.auto_class)
    fields = labelling.columns({"text": TEXTS})
    encoded = task.encode(fields, processor, facts, options)
    if precision == "auto":
        precision = pytorch.best_precision("cuda")
    on_gpu = pytorch.load(
        checkpoints.resolve(path, None, trust_remote_code=False, allow_pickle=False),
        task.auto_class,
        Logits(),
        precision=precision,
        device="cuda",
        threads=1,
    )

    scores = [
        task.decode(
            Inference(engine, 2048, facts.pad_token_id).run(encoded).outputs,
            encoded,
            fields,
            processor,
            facts,
            options,
        )["score"].to_numpy()
        for engine in (on_cpu, on_gpu)
    ]

    np.testing.assert_allclose(scores[1], scores[0], atol=tolerance)


def test_cuda_out_of_memory_halves_the_budget_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tiny_classifier(str(tmp_path_factory.mktemp("model") / "bert"))
    checkpoint = checkpoints.resolve(path, None, trust_remote_code=False, allow_pickle=False)
    task = TextClassification()
    engine = pytorch.load(
        checkpoint, task.auto_class, Logits(), precision="float32", device="cuda", threads=1
    )
    rows, length = 4096, 16
    encoded = Encoded(
        rows=np.arange(rows, dtype=np.int32),
        lengths=np.full(rows, length, np.int32),
        inputs={"input_ids": np.full(rows * length, 5, np.int32)},
    )
    # Leave the device a sliver, so that the whole split does not fit at once; what other tests
    # hold is counted, too.
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    allowed = torch.cuda.memory_reserved() + 32 * 2**20
    torch.cuda.set_per_process_memory_fraction(allowed / total)
    try:
        inference = Inference(engine, rows * length, 0)
        done = inference.run(encoded)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)

    assert inference.budget < rows * length
    assert done.finite.all()
