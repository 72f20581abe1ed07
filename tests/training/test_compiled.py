"""Training with `torch_compile`, which needs a compiler of C++ and a minute."""

import shutil

import numpy as np
import pytest

from labelmill.training.loop import train
from tests.support.models import save_tiny
from tests.support.training import STILL, Desk, job_of, losses_of, ready, reviews, write_rows

pytestmark = [
    pytest.mark.slow,
    pytest.mark.faults,
    # torch's own compiler uses what torch calls old, and says so where it is imported first.
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),
    pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++"),
]


def test_compiled_model_learns_what_a_plain_one_does(tmp_path):
    start = save_tiny(tmp_path / "start", "bert", "AutoModelForMaskedLM")
    data = {"train": write_rows(tmp_path / "rows.parquet", reviews(45))}
    found = []
    for compiled in (False, True):
        folder = tmp_path / str(compiled)
        folder.mkdir()
        training = {"max_steps": 6, "learning_rate": 1e-3, "torch_compile": compiled}
        job = job_of(
            folder, "text-classification", start, data, model={"config": STILL}, training=training
        )
        desk = Desk(folder)
        assert train(ready(job).recipe, desk)
        found.append(losses_of(desk))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-3)
