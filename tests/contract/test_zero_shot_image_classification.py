"""zero-shot-image-classification equals the model, picture by picture."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from labelmill import checkpoints
from labelmill.engines.pytorch import image_text
from labelmill.engines.pytorch.reading import Model
from labelmill.errors import ConfigError, ModelError
from labelmill.readouts import ImageText
from labelmill.tasks.zero_shot_image_classification import ZeroShotImageClassification
from labelmill.tasks.zero_shot_image_classification import (
    ZeroShotImageClassificationOptions as Options,
)
from tests.support.image_models import (
    TWO_TOWERS,
    column,
    encoded_as,
    label_images,
    opened,
    picture,
    pictures,
    seen_by_transformers,
    tiny_image_classifier,
    tiny_two_towers,
)

TASK = ZeroShotImageClassification()
WORKS = {TASK.name: TWO_TOWERS}
LABELS = (
    "dog",
    "a very bright film",
    "caf\u00e9 \u4f60\u597d",
    "\U0001f600 \u05e9\u05dc\u05d5\u05dd",
    "bad food",
)
TEMPLATE = "This is a photo of {}."
Maker = Callable[[str], str]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Maker:
    """Makes each checkpoint once."""
    made: dict[str, str] = {}

    def make(architecture: str = "clip") -> str:
        if architecture not in made:
            made[architecture] = tiny_two_towers(
                tmp_path_factory.mktemp(architecture), architecture
            )
        return made[architecture]

    return make


def plain_logits(path: str, architecture: str, texts: list[str], files: list[bytes]) -> Any:
    """The obvious way: each picture and all texts through the whole model."""
    processor = transformers.AutoProcessor.from_pretrained(path)
    model = transformers.AutoModelForZeroShotImageClassification.from_pretrained(path).eval()
    found = []
    for data in files:
        image = seen_by_transformers(data)
        tokens = processor.tokenizer(texts, return_tensors="pt", **TWO_TOWERS[architecture][4])
        with torch.inference_mode():
            seen = processor.image_processor(image, return_tensors="pt")
            found.append(model(**tokens, **seen).logits_per_image[0].double().numpy())
    return np.array(found)


def scored(architecture: str, logits: Any) -> Any:
    if architecture.startswith("siglip"):
        return 1 / (1 + np.exp(-logits))
    exponents = np.exp(logits - logits.max())
    return exponents / exponents.sum()


def listed(table: Any) -> list[dict[str, float]]:
    return [{one["label"]: one["score"] for one in row} for row in table["scores"].to_pylist()]


@pytest.mark.parametrize("architecture", TWO_TOWERS)
def test_zero_shot_images_scores_equal_the_model_picture_by_picture(tiny, architecture):
    path = tiny(architecture)
    texts = [TEMPLATE.replace("{}", name) for name in LABELS]
    table = label_images(path, TASK, pictures(), Options(labels=LABELS, scores="all"))
    plain = plain_logits(path, architecture, texts, pictures())
    for row, found, logits in zip(table.to_pylist(), listed(table), plain, strict=True):
        expected = scored(architecture, logits)
        assert [found[name] for name in LABELS] == pytest.approx(list(expected), abs=1e-5)
        assert row["score"] == pytest.approx(expected.max(), abs=1e-5)
        assert row["label"] == LABELS[expected.argmax()]


@pytest.mark.parametrize("architecture", TWO_TOWERS)
def test_zero_shot_images_agrees_with_the_pipeline(tiny, architecture):
    path = tiny(architecture)
    pipeline = transformers.pipeline("zero-shot-image-classification", path, device="cpu")
    table = label_images(path, TASK, pictures(), Options(labels=LABELS, scores="all"))
    for ours, data in zip(listed(table), pictures(), strict=True):
        theirs = pipeline(seen_by_transformers(data), candidate_labels=list(LABELS))
        assert ours == pytest.approx({one["label"]: one["score"] for one in theirs}, abs=1e-5)


@pytest.mark.parametrize("architecture", TWO_TOWERS)
def test_zero_shot_images_scores_differ_between_pictures_and_labels(tiny, architecture):
    """Else the other tests would prove little."""
    table = label_images(tiny(architecture), TASK, pictures(), Options(labels=LABELS, scores="all"))
    for name in LABELS:
        assert len({round(row[name], 4) for row in listed(table)}) > 5
    assert len({round(score, 4) for score in listed(table)[0].values()}) == len(LABELS)


@pytest.mark.parametrize("architecture", TWO_TOWERS)
@pytest.mark.parametrize("budget", [1, 64, 10**9])
def test_zero_shot_images_any_microbatch_gives_the_same_scores(tiny, architecture, budget):
    options = Options(labels=LABELS)
    wanted = label_images(tiny(architecture), TASK, pictures(), options, budget=17)
    table = label_images(tiny(architecture), TASK, pictures(), options, budget=budget)
    assert table["label"] == wanted["label"]
    assert table["score"].to_pylist() == pytest.approx(wanted["score"].to_pylist(), abs=1e-5)


def test_zero_shot_images_descriptions_stand_for_their_labels(tiny):
    named = Options(labels={"a": "dog", "b": "bad food"}, template="{}!")
    plain = Options(labels=("dog!", "bad food!"), template="{}")
    ours = label_images(tiny("clip"), TASK, pictures(), named)
    theirs = label_images(tiny("clip"), TASK, pictures(), plain)
    names = {"dog!": "a", "bad food!": "b"}
    assert ours["label"].to_pylist() == [names[label] for label in theirs["label"].to_pylist()]
    assert ours["score"] == theirs["score"]


def test_zero_shot_images_scores_k_are_the_head_of_all(tiny):
    whole = label_images(tiny("clip"), TASK, pictures(), Options(labels=LABELS, scores="all"))
    best_two = label_images(tiny("clip"), TASK, pictures(), Options(labels=LABELS, scores=2))
    assert best_two["scores"].to_pylist() == [row[:2] for row in whole["scores"].to_pylist()]


def test_zero_shot_images_larger_than_max_pixels_are_errors(tiny):
    facts, processor = opened(tiny("clip"), TASK)
    files = [encoded_as(picture(1, 40, 30))]
    options = Options(labels=LABELS, max_pixels=1199)
    encoded = TASK.encode({"image": column(files)}, processor, facts, options)
    assert encoded.errors == {0: "the image has 1200 pixels, more than options.max_pixels (1199)"}


def test_zero_shot_images_template_takes_labels_with_braces(tiny):
    options = Options(labels=("{dog}", "{0}"), template="a {} is {}")
    assert label_images(tiny("clip"), TASK, pictures()[:1], options).num_rows == 1


def test_zero_shot_images_more_labels_than_are_embedded_at_once_equal_the_model(tiny):
    names = tuple(f"{word} {number}" for number in range(35) for word in ("dog", "film"))
    texts = [TEMPLATE.replace("{}", name) for name in names]
    path = tiny("clip")
    table = label_images(path, TASK, pictures()[:3], Options(labels=names, scores="all"))
    for found, logits in zip(
        listed(table), plain_logits(path, "clip", texts, pictures()[:3]), strict=True
    ):
        assert [found[name] for name in names] == pytest.approx(
            list(scored("clip", logits)), abs=1e-5
        )


def test_zero_shot_images_one_label_has_all_of_clips_score(tiny):
    table = label_images(tiny("clip"), TASK, pictures()[:2], Options(labels=("dog",)))
    assert table.to_pylist() == [{"label": "dog", "score": 1.0}] * 2


@pytest.mark.parametrize("scores", ["best", "all", 2])
@pytest.mark.parametrize("files", [pictures()[:2], [b"", b"x"], []])
def test_zero_shot_images_columns_are_those_of_its_schema(tiny, scores, files):
    facts, _ = opened(tiny("siglip"), TASK)
    options = Options(labels=LABELS, scores=scores)
    table = label_images(tiny("siglip"), TASK, files, options)
    table.validate(full=True)
    assert table.schema == TASK.schema(facts, options)
    assert table.num_rows == len(files)
    assert all(field.nullable for field in table.schema)


def test_zero_shot_images_broken_files_are_errors_of_their_rows(tiny):
    facts, processor = opened(tiny("clip"), TASK)
    options = Options(labels=LABELS)
    files = [b"x", encoded_as(picture(1)), b""]
    encoded = TASK.encode({"image": column(files)}, processor, facts, options)
    assert encoded.rows.tolist() == [1]
    assert sorted(encoded.errors) == [0, 2]
    table = label_images(tiny("clip"), TASK, files, options)
    assert [label is None for label in table["label"].to_pylist()] == [True, False, True]


@pytest.mark.parametrize("architecture", ["clip", "siglip"])
def test_zero_shot_images_a_label_longer_than_the_model_takes_is_refused(tiny, architecture):
    facts, processor = opened(tiny(architecture), TASK)
    with pytest.raises(ConfigError, match=r"options\.labels: .* more than the 64"):
        TASK.readout(processor, facts, Options(labels=("dog", "very bad food " * 40)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": ("dog", "dog")}, "one label twice"),
        ({"labels": ()}, "at least 1"),
        ({"labels": {}}, "at least 1"),
        ({"labels": ("dog",), "template": "a photo"}, "has no '{}'"),
        ({}, "labels"),
    ],
)
def test_zero_shot_images_options_that_compare_nothing_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Options(**settings)


def test_zero_shot_images_a_model_that_reads_no_text_is_refused(tmp_path):
    facts, processor = opened(tiny_image_classifier(tmp_path), TASK)
    with pytest.raises(ModelError, match=r"'vit'.* has no image processor"):
        TASK.readout(processor, facts, Options(labels=LABELS))
    with pytest.raises(ModelError, match="such as CLIP"):
        TASK.encode({"image": column(pictures())}, processor, facts, Options(labels=LABELS))


def test_zero_shot_images_a_model_that_compares_otherwise_is_refused(tmp_path):
    """BLIP-2 and their like have no cosine to scale; here CLIP's classifier stands for them."""
    config = transformers.CLIPConfig.from_pretrained(tiny_two_towers(tmp_path, "clip"))
    module = transformers.CLIPForImageClassification(config)
    checkpoint = checkpoints.Checkpoint(path="", source="x", revision=None, digest="")
    with pytest.raises(ModelError, match="'x' is a 'CLIPForImageClassification' without"):
        image_text.reader(ImageText(texts=((1,),)), Model(module, "cpu"), checkpoint)
