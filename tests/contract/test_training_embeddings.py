"""What feature-extraction learns: sentence-transformers' own loss, and a model that it reads."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from labelmill.errors import ConfigError
from labelmill.tasks.feature_extraction import FeatureExtraction
from labelmill.tasks.feature_extraction import FeatureExtractionOptions as Options
from labelmill.training import finetune
from labelmill.training.loop import train
from labelmill.training.plan import make_plan
from labelmill.training.ray_group import Group, Kept
from tests.support.labelling import known, label
from tests.support.learning import (
    batch,
    contrast_of,
    learned,
    loss_of,
    model_of,
    overfit,
    sequences,
)
from tests.support.sentence_models import tiny_encoder, tiny_sentences, tiny_t5
from tests.support.training import (
    STILL,
    Desk,
    job_of,
    losses_of,
    ready,
    train_together,
    weights_of,
    write_rows,
)

TASK = FeatureExtraction()
TEXTS = ["the film was great", "dull!", "caf\u00e9 \u4f60\u597d", "a fox \U0001f600"]
POSITIVES = ["great plot and a good actor", "slow", "food", "quick brown"]
NEGATIVES = ["terrible", "wonderful and bright", "price", "lazy dog"]
WORDS = "the quick brown fox jumps over lazy dog film plot actor price food slow fast".split()  # noqa: SIM905
Maker = Callable[..., str]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Maker:
    made: dict[str, str] = {}

    def make(architecture: str = "bert") -> str:
        if architecture not in made:
            place = tmp_path_factory.mktemp(architecture)
            made[architecture] = (
                tiny_t5(place) if architecture == "t5" else tiny_encoder(place, architecture)
            )
        return made[architecture]

    return make


def by_hand(path: str, columns: list[list[str]], pooling: str = "mean") -> float:
    """The loss, a text at a time through the plain model."""
    _, tokenizer = known(path)
    model = model_of(path, TASK, Options())
    sides = []
    for column in columns:
        rows = []
        for text in column:
            inputs = tokenizer(text, return_tensors="pt")
            accepted = inspect.signature(model.forward).parameters
            given = {name: value for name, value in inputs.items() if name in accepted}
            hidden = model(**given).last_hidden_state[0]
            chosen = {"mean": hidden.mean(dim=0), "cls": hidden[0], "last": hidden[-1]}
            rows.append(torch.nn.functional.normalize(chosen[pooling], dim=0))
        sides.append(torch.stack(rows))
    scores = sides[0] @ torch.cat(sides[1:]).T * 20
    return torch.nn.functional.cross_entropy(scores, torch.arange(len(scores))).item()


@pytest.mark.parametrize("architecture", ["bert", "roberta", "mpnet", "modernbert", "gpt2", "t5"])
def test_the_loss_of_triplets_is_that_of_a_text_at_a_time(tiny, architecture):
    path = tiny(architecture)
    targets = {"positive": POSITIVES, "negative": NEGATIVES}
    examples = learned(path, TASK, {"text": TEXTS}, targets, Options())
    found = loss_of(path, TASK, examples, Options(), model_of(path, TASK, Options()))
    assert found.item() == pytest.approx(by_hand(path, [TEXTS, POSITIVES, NEGATIVES]), abs=1e-4)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_the_loss_of_pairs_pools_as_the_options_say(tiny, pooling):
    path, options = tiny(), Options(pooling=pooling)
    examples = learned(path, TASK, {"text": TEXTS}, {"positive": POSITIVES}, options)
    found = loss_of(path, TASK, examples, options, model_of(path, TASK, options))
    assert found.item() == pytest.approx(by_hand(path, [TEXTS, POSITIVES], pooling), abs=1e-4)


@pytest.mark.parametrize("negatives", [False, True])
def test_the_loss_is_that_of_sentence_transformers(tmp_path, negatives):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    path = tiny_sentences(
        tmp_path,
        dense=16,
        normalize=True,
        include_prompt=False,
        prompts={"query": "the quick "},
        default_prompt="query",
    )
    theirs = SentenceTransformer(path, device="cpu").eval()
    columns = [TEXTS, POSITIVES, *([NEGATIVES] if negatives else [])]
    features = []
    for column in columns:
        made = theirs.preprocess(column, prompt="the quick ")
        features.append(made)
    expected = MultipleNegativesRankingLoss(theirs)(features, torch.zeros(4))
    targets = dict(zip(("positive", "negative"), columns[1:], strict=False))
    examples = learned(path, TASK, {"text": TEXTS}, targets, Options())
    found = loss_of(path, TASK, examples, Options(), model_of(path, TASK, Options()))
    assert found.item() == pytest.approx(expected.item(), abs=1e-4)


def test_equal_texts_are_not_held_against_each_other(tiny):
    path, model = tiny(), model_of(tiny(), TASK, Options())

    def loss(texts: list[str], positives: list[str]) -> float:
        examples = learned(path, TASK, {"text": texts}, {"positive": positives}, Options())
        return loss_of(path, TASK, examples, Options(), model).item()

    # Alone in its batch, a text has nothing to be told from: not even the other's positive.
    assert loss(["a fox"] * 2, ["dog", "food"]) == pytest.approx(0, abs=1e-6)
    assert loss(["a fox", "dog"], ["dog", "a fox"]) == pytest.approx(0, abs=1e-6)
    # Where a row is there twice, only the others are told from its positive twice.
    texts, positives = TEXTS[:3], POSITIVES[:3]
    single = by_hand(path, [texts[:1], [positives[0], *positives[1:]]])
    twice = loss([texts[0], *texts], [positives[0], *positives])
    others = [
        by_hand(path, [[text], [own, other, positives[0], positives[0]]])
        for text, own, other in zip(texts[1:], positives[1:], positives[:0:-1], strict=True)
    ]
    assert twice == pytest.approx((2 * single + sum(others)) / 4, abs=1e-4)


def test_a_row_without_its_negative_has_none(tiny):
    path, model = tiny(), model_of(tiny(), TASK, Options())
    targets = {"positive": POSITIVES, "negative": [None, " ", None, None]}
    examples = learned(path, TASK, {"text": TEXTS}, targets, Options())
    found = loss_of(path, TASK, examples, Options(), model)
    assert found.item() == pytest.approx(by_hand(path, [TEXTS, POSITIVES]), abs=1e-4)


def test_negatives_that_no_row_of_a_batch_has_are_not_read(tiny, monkeypatch):
    model, seen = model_of(tiny(), TASK, Options()), []
    forward = model.forward
    monkeypatch.setattr(
        model, "forward", lambda **given: seen.append(len(given["input_ids"])) or forward(**given)
    )
    for negatives in ([None, " ", None, None], NEGATIVES):
        targets = {"positive": POSITIVES, "negative": negatives}
        examples = learned(tiny(), TASK, {"text": TEXTS}, targets, Options())
        contrast = contrast_of(tiny(), TASK, Options(), model)
        contrast.total(model, batch(tiny(), TASK, examples), frozenset({"input_ids"}))
    assert seen == [2 * len(TEXTS), 3 * len(TEXTS)]


def test_blank_texts_and_positives_are_errors(tiny):
    targets = {"positive": ["a", "b", " "]}
    examples = learned(tiny(), TASK, {"text": ["a fox", "", "a dog"]}, targets, Options())
    assert dict(examples.encoded.errors) == {1: "the text is blank", 2: "the positive is blank"}
    assert len(sequences(examples)) == 1
    assert batch(tiny(), TASK, examples)["positive_id"].shape == (1,)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (Options(pooling="pooler"), "pooling"),
        (Options(dimensions=8), "dimensions"),
        (Options(long_text="window"), "long_text"),
    ],
)
def test_what_cannot_be_trained_is_refused(tiny, options, name):
    with pytest.raises(ConfigError, match=rf"options\.{name}"):
        TASK.head({}, known(tiny())[0], options)


def test_weights_that_nothing_reads_are_frozen(tiny):
    model = model_of(tiny(), TASK, Options())
    contrast_of(tiny(), TASK, Options(), model)
    frozen = {name for name, weights in model.named_parameters() if not weights.requires_grad}
    assert frozen == {"pooler.dense.weight", "pooler.dense.bias"}


# Whole trainings

PAIRS = {
    "text": [f"{one} {other}" for one in WORDS for other in WORDS[:4]],
    "positive": [f"{one} good" for one in WORDS for other in WORDS[:4]],
}


def job(tmp_path, start: str, **rest):
    rows = write_rows(tmp_path / "rows.parquet", PAIRS)
    training = {
        "learning_rate": 3e-3,
        "num_train_epochs": 2,
        "per_device_train_batch_size": 8,
        **rest.pop("training", {}),
    }
    data = {"train": rows, "validation_fraction": rest.pop("fraction", 0.1)}
    return job_of(
        tmp_path, "feature-extraction", start, data,
        model={"config": STILL}, training=training, **rest,
    )  # fmt: skip


@pytest.mark.parametrize("measured", [False, True])
def test_rows_to_learn_from_or_to_measure_by_may_lack_the_negatives(tmp_path, tiny, measured):
    pairs = {"text": TEXTS, "positive": POSITIVES}
    files = [
        write_rows(tmp_path / f"{number}.parquet", rows)
        for number, rows in enumerate([pairs, {**pairs, "negative": NEGATIVES}])
    ]
    data = dict(zip(["train", "validation"], files if measured else files[::-1], strict=True))
    desk = Desk(tmp_path)
    made = job_of(
        tmp_path, "feature-extraction", tiny(), data,
        model={"config": STILL}, training={"num_train_epochs": 1, "learning_rate": 1e-9},
    )  # fmt: skip
    assert train(ready(made).recipe, desk)
    columns = [TEXTS, POSITIVES, *([NEGATIVES] if measured else [])]
    assert desk.scores == pytest.approx([-by_hand(tiny(), columns)], abs=1e-4)


def trained(tmp_path, start: str, **rest) -> str:
    plan = make_plan(
        job(tmp_path, start, **rest),
        lambda: Group(workers=1, gpus=0.0, cpus=1, max_failures=0),
    )
    prepared = finetune.prepare(plan, print)
    desk = Desk(tmp_path)
    assert train(prepared.recipe, desk)
    losses = losses_of(desk)
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) / 2
    last = desk.resume()
    assert last is not None
    finetune._exported(plan, prepared, Kept(best=last, last=last), lambda _: {})
    return str(Path(plan.result))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("normalize", [True, False])
def test_the_result_is_read_as_it_was_trained(tmp_path, pooling, normalize):
    """Without any option, by labelling and by sentence-transformers alike."""
    from sentence_transformers import SentenceTransformer

    start = tiny_encoder(tmp_path / "start", "bert", "AutoModelForMaskedLM")
    options = {"pooling": pooling, "normalize": normalize, "prompt": "the ", "max_length": 12}
    place = trained(tmp_path, start, options=options)
    texts = [*TEXTS, "never good " * 30]
    ours = np.array(label(place, TASK, {"text": texts}, Options())["embedding"].to_pylist())
    again = label(place, TASK, {"text": texts}, Options(**options))["embedding"].to_pylist()
    np.testing.assert_allclose(ours, again, atol=1e-6)
    model = SentenceTransformer(place, device="cpu")
    np.testing.assert_allclose(model.encode(texts), ours, atol=1e-4)
    assert np.allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-4) == normalize


def test_a_model_of_sentence_transformers_stays_one(tmp_path):
    from sentence_transformers import SentenceTransformer

    start = tiny_sentences(
        tmp_path / "start", dense=16, normalize=True, prompts={"query": "the "}, max_length=20
    )
    settings = Path(start) / "config_sentence_transformers.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"truncate_dim": 12}))
    place = trained(tmp_path, start, options={"prompt_name": "query"})
    assert known(place)[0].sentence.prompt_name == "query"
    ours = np.array(label(place, TASK, {"text": TEXTS}, Options())["embedding"].to_pylist())
    assert ours.shape == (4, 12)
    model = SentenceTransformer(place, device="cpu")
    # Ours have length 1 again.
    theirs = model.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_eight_texts_find_their_positives(tiny, tmp_path):
    texts = [f"{word} was it" for word in WORDS[:8]]
    positives = [f"good {word}" for word in reversed(WORDS[:8])]
    path = tiny()
    examples = learned(path, TASK, {"text": texts}, {"positive": positives}, Options())
    trained_ = overfit(path, TASK, examples, Options(), tmp_path, fresh=False)
    vectors = label(trained_, TASK, {"text": texts + positives}, Options())["embedding"].to_pylist()
    ours = np.array(vectors)
    assert (ours[:8] @ ours[8:].T).argmax(axis=1).tolist() == list(range(8))


@pytest.mark.faults  # test_workers does the same with three tasks
def test_two_workers_learn_what_one_does(tmp_path):
    start = tiny_encoder(tmp_path / "start", "bert", "AutoModelForMaskedLM")
    curves, weights = [], []
    for workers in (1, 2):
        place = tmp_path / str(workers)
        place.mkdir()
        size = {"per_device_train_batch_size": 8 // workers, "max_steps": 6, "optim": "sgd"}
        recipe = ready(job(place, start, training=size), workers).recipe
        desk = train_together(recipe, place, workers)
        curves.append(losses_of(desk))
        weights.append(weights_of(desk.resume()))
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-4)
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-3, atol=1e-5)
