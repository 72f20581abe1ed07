"""On a CPU short sequences are attended to in the way that is fastest there."""

import numpy as np
import pytest

from labelmill.training import attention
from labelmill.training.loop import train
from labelmill.training.model import load
from tests.support.models import save_tiny
from tests.support.training import STILL, Desk, job_of, losses_of, ready, reviews, write_rows


@pytest.fixture
def recipe(tmp_path):
    start = save_tiny(tmp_path / "start", "bert", "AutoModelForMaskedLM")
    data = {"train": write_rows(tmp_path / "rows.parquet", reviews(32))}
    training = {"learning_rate": 1e-3, "num_train_epochs": 2}
    job = job_of(
        tmp_path, "text-classification", start, data, model={"config": STILL}, training=training
    )
    return ready(job).recipe


@pytest.mark.parametrize(
    ("longest", "way"), [(attention.LONGEST, "eager"), (attention.LONGEST + 1, "sdpa")]
)
def test_long_sequences_keep_the_fused_way(recipe, longest, way):
    model = load(recipe.model)
    attention.choose(model, longest=longest)
    assert model.config._attn_implementation == way


def test_either_way_learns_the_same(recipe, tmp_path, monkeypatch):
    seen = []

    def choose(model, *, longest, chosen=attention.choose):
        chosen(model, longest=longest)
        seen.append((longest <= 30, model.config._attn_implementation))

    monkeypatch.setattr(attention, "choose", choose)
    short, long = Desk(tmp_path / "short"), Desk(tmp_path / "long")
    train(recipe, short)
    monkeypatch.setattr(attention, "LONGEST", 0)
    train(recipe, long)
    assert seen == [(True, "eager"), (True, "sdpa")]
    np.testing.assert_allclose(losses_of(short), losses_of(long), rtol=1e-4)
