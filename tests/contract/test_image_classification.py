"""image-classification equals the model, picture by picture, whatever the file is."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers

from labelmill.errors import ConfigError, ModelError
from labelmill.tasks.image_classification import ImageClassification
from labelmill.tasks.image_classification import ImageClassificationOptions as Options
from tests.support.image_models import (
    CLASSIFIERS,
    column,
    encoded_as,
    label_images,
    opened,
    picture,
    pictures,
    seen_by_transformers,
    tiny_image_classifier,
)

TASK = ImageClassification()
WORKS = {TASK.name: CLASSIFIERS}
LABELS = ["label a", "label b", "label c"]
BROKEN = [b"", b"no picture", encoded_as(picture(1))[:90], encoded_as(picture(2), "JPEG")[:200]]
Maker = Callable[..., str]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Maker:
    """Makes each checkpoint once."""
    made: dict[tuple[Any, ...], str] = {}

    def make(architecture: str = "vit", labels: int = 3, problem_type: str | None = None) -> str:
        key = (architecture, labels, problem_type)
        if key not in made:
            made[key] = tiny_image_classifier(tmp_path_factory.mktemp(architecture), *key)
        return made[key]

    return make


def plain_logits(path: str, files: list[bytes]) -> Any:
    """The obvious way: one picture after another through processor and model."""
    processor = transformers.AutoImageProcessor.from_pretrained(path)
    model = transformers.AutoModelForImageClassification.from_pretrained(path).eval()
    found = []
    for data in files:
        inputs = processor(seen_by_transformers(data), return_tensors="pt")
        with torch.inference_mode():
            found.append(model(**inputs).logits[0].double().numpy())
    return np.array(found)


def softmax(logits: Any) -> Any:
    exponents = np.exp(logits - logits.max())
    return exponents / exponents.sum()


def listed(table: pa.Table) -> list[dict[str, float]]:
    return [{one["label"]: one["score"] for one in row} for row in table["scores"].to_pylist()]


@pytest.mark.parametrize("architecture", CLASSIFIERS)
def test_image_classification_scores_equal_the_model_picture_by_picture(tiny, architecture):
    path = tiny(architecture)
    table = label_images(path, TASK, pictures(), Options(scores="all"))
    for row, found, logits in zip(
        table.to_pylist(), listed(table), plain_logits(path, pictures()), strict=True
    ):
        expected = softmax(logits)
        assert [found[name] for name in LABELS] == pytest.approx(list(expected), abs=1e-5)
        assert row["score"] == pytest.approx(expected.max(), abs=1e-5)
        assert expected[LABELS.index(row["label"])] == pytest.approx(expected.max(), abs=1e-5)


@pytest.mark.parametrize("architecture", CLASSIFIERS)
def test_image_classification_agrees_with_the_pipeline(tiny, architecture):
    path = tiny(architecture)
    pipeline = transformers.pipeline("image-classification", path, device="cpu")
    table = label_images(path, TASK, pictures(), Options(scores="all"))
    for ours, data in zip(listed(table), pictures(), strict=True):
        theirs = pipeline(seen_by_transformers(data), top_k=3)
        assert ours == pytest.approx({one["label"]: one["score"] for one in theirs}, abs=1e-5)


@pytest.mark.parametrize("architecture", CLASSIFIERS)
def test_image_classification_scores_differ_between_the_pictures(tiny, architecture):
    """Else the other tests would prove little."""
    table = label_images(tiny(architecture), TASK, pictures(), Options())
    assert len({round(score, 4) for score in table["score"].to_pylist()}) > 8


@pytest.mark.parametrize("architecture", CLASSIFIERS)
@pytest.mark.parametrize("budget", [1, 64, 10**9])
def test_image_classification_any_microbatch_gives_the_same_scores(tiny, architecture, budget):
    path = tiny(architecture)
    wanted = label_images(path, TASK, pictures(), Options(), budget=17)
    table = label_images(path, TASK, pictures(), Options(), budget=budget)
    assert table["label"] == wanted["label"]
    assert table["score"].to_pylist() == pytest.approx(wanted["score"].to_pylist(), abs=1e-5)


def test_image_classification_rows_in_another_order_give_the_same_labels(tiny):
    forward = label_images(tiny(), TASK, pictures(), Options())
    backward = label_images(tiny(), TASK, pictures()[::-1], Options())
    assert backward["label"].to_pylist() == forward["label"].to_pylist()[::-1]


def test_image_classification_broken_files_are_errors_and_leave_the_others_as_they_are(tiny):
    facts, processor = opened(tiny(), TASK)
    good = pictures()[:3]
    files = [BROKEN[0], good[0], BROKEN[1], BROKEN[2], good[1], good[2], BROKEN[3]]
    encoded = TASK.encode({"image": column(files)}, processor, facts, Options())
    assert encoded.rows.tolist() == [1, 4, 5]
    assert encoded.fixed["pixel_values"].shape == (3, 3, 32, 32)
    assert encoded.fixed["pixel_values"].dtype == np.float32
    assert sorted(encoded.errors) == [0, 2, 3, 6]
    assert encoded.errors[0] == "the image has no bytes"
    assert encoded.errors[2] == "not an image of a known format"
    assert "truncated" in encoded.errors[6].lower()
    table = label_images(tiny(), TASK, files, Options())
    alone = label_images(tiny(), TASK, good, Options()).to_pylist()
    null = {"label": None, "score": None}
    expected = [null, alone[0], null, null, alone[1], alone[2], null]
    assert table["label"].to_pylist() == [row["label"] for row in expected]
    assert table.num_rows == 7


def test_image_classification_larger_than_max_pixels_is_an_error_with_both_numbers(tiny):
    facts, processor = opened(tiny(), TASK)
    files = [encoded_as(picture(1, 40, 30)), encoded_as(picture(1, 41, 30))]
    encoded = TASK.encode({"image": column(files)}, processor, facts, Options(max_pixels=1200))
    assert encoded.rows.tolist() == [0]
    assert encoded.errors == {1: "the image has 1230 pixels, more than options.max_pixels (1200)"}


def test_image_classification_a_strip_that_resizing_would_blow_up_is_an_error(tiny):
    facts, processor = opened(tiny("mobilenet_v2"), TASK)
    files = [encoded_as(picture(1, 3000, 1)), encoded_as(picture(1, 60, 50))]
    encoded = TASK.encode({"image": column(files)}, processor, facts, Options(max_pixels=100_000))
    assert encoded.rows.tolist() == [1]
    assert "3000 x 1 pixels has 4800000" in encoded.errors[0]


def test_image_classification_costs_are_counted_in_patches(tiny):
    facts, processor = opened(tiny(), TASK)
    encoded = TASK.encode({"image": column(pictures())}, processor, facts, Options())
    assert encoded.lengths.tolist() == [32 * 32 // 256] * len(pictures())


@pytest.mark.parametrize("problem", [None, "multi_label_classification", "regression"])
@pytest.mark.parametrize("options", [Options(), Options(scores="all"), Options(scores=2)])
@pytest.mark.parametrize("files", [pictures()[:2], BROKEN, []])
def test_image_classification_columns_are_those_of_its_schema(tiny, problem, options, files):
    path = tiny(problem_type=problem)
    facts, _ = opened(path, TASK)
    if problem == "regression" and options.scores != "best":
        with pytest.raises(ConfigError, match=r"options\.scores"):
            TASK.schema(facts, options)
        return
    table = label_images(path, TASK, files, options)
    table.validate(full=True)
    assert table.schema == TASK.schema(facts, options)
    assert table.num_rows == len(files)
    assert all(field.nullable for field in table.schema)


def test_image_classification_multi_label_gives_the_labels_above_the_threshold(tiny):
    path = tiny(problem_type="multi_label_classification")
    table = label_images(path, TASK, pictures(), Options(threshold=0.4))
    for row, logits in zip(table.to_pylist(), plain_logits(path, pictures()), strict=True):
        expected = 1 / (1 + np.exp(-logits))
        order = np.argsort(-expected, kind="stable")
        assert row["label"] == [LABELS[number] for number in order if expected[number] >= 0.4]


def test_image_classification_labels_and_problem_type_of_the_job_win(tiny):
    options = Options(
        labels=("x", "y", "z"), problem_type="multi_label_classification", threshold={"y": 0.9}
    )
    table = label_images(tiny(), TASK, pictures(), options)
    for found, logits in zip(
        table["label"].to_pylist(), plain_logits(tiny(), pictures()), strict=True
    ):
        expected = 1 / (1 + np.exp(-logits)) >= [0.5, 0.9, 0.5]
        assert set(found) == {name for name, good in zip("xyz", expected, strict=True) if good}


def test_image_classification_scores_k_are_the_head_of_all(tiny):
    whole = label_images(tiny(), TASK, pictures(), Options(scores="all"))["scores"].to_pylist()
    best_two = label_images(tiny(), TASK, pictures(), Options(scores=2))["scores"].to_pylist()
    assert best_two == [row[:2] for row in whole]


def test_image_classification_threshold_without_several_labels_is_refused(tiny):
    with pytest.raises(ConfigError, match=r"options\.threshold"):
        TASK.schema(opened(tiny(), TASK)[0], Options(threshold=0.3))


def test_image_classification_without_an_image_processor_is_refused(tiny, tmp_path):
    tiny_image_classifier(tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"has no image processor .*preprocessor_config\.json"):
        opened(str(tmp_path), TASK)


def test_image_classification_a_processor_of_unequal_shapes_is_refused(tiny, tmp_path):
    tiny_image_classifier(tmp_path, "mobilenet_v2")
    processor = transformers.MobileNetV2ImageProcessorPil(
        size={"shortest_edge": 32}, do_center_crop=False
    )
    processor.save_pretrained(tmp_path)
    facts, loaded = opened(str(tmp_path), TASK)
    with pytest.raises(ModelError, match="do_center_crop"):
        TASK.encode({"image": column(pictures())}, loaded, facts, Options())
