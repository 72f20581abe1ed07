"""Trained weights on real photographs, where they are at hand beside the repository."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import transformers

from labelmill.ops import images
from labelmill.tasks.image_classification import ImageClassification
from labelmill.tasks.image_classification import ImageClassificationOptions as Options
from tests.support.image_models import column, label_images, opened, seen_by_transformers

DATA = Path(__file__).parents[3] / "shared" / "data"
MODELS, PHOTOS = DATA / "models", DATA / "imagenet_sample"
TASK = ImageClassification()


def at_hand(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"{path.name} is not at hand")
    return path


def named(label: str) -> set[str]:
    """The synonyms that a label of ImageNet lists."""
    return {name.strip().lower() for name in label.split(",")}


@pytest.mark.parametrize(
    ("model", "best", "five"),
    [("mobilenet_v2_1.0_224", 44, 49), ("mobilenet_v1_0.25_128", 20, 35)],
)
def test_mobilenet_names_50_photos_as_the_pipeline_does(model, best, five):
    """The counts were measured with these weights, in float32, on a CPU."""
    path = str(at_hand(MODELS / model))
    photos = sorted(at_hand(PHOTOS).glob("*.JPEG"))
    names = [photo.stem.partition("_")[2].replace("_", " ").lower() for photo in photos]
    files = [photo.read_bytes() for photo in photos]
    rows = label_images(path, TASK, files, Options(scores=5)).to_pylist()
    pipeline = transformers.pipeline("image-classification", path, device="cpu")
    for row, file in zip(rows, files, strict=True):
        theirs = pipeline(seen_by_transformers(file), top_k=5)
        assert [one["label"] for one in row["scores"]] == [one["label"] for one in theirs]
        assert [one["score"] for one in row["scores"]] == pytest.approx(
            [one["score"] for one in theirs], abs=1e-4
        )
    hits = [
        [name in named(one["label"]) for one in row["scores"]]
        for name, row in zip(names, rows, strict=True)
    ]
    assert (sum(hit[0] for hit in hits), sum(map(any, hits)), len(hits)) == (best, five, 50)


def test_cifar_every_row_of_the_test_set_is_decoded():
    table = pq.read_table(at_hand(DATA / "cifar10" / "test_1k.parquet"))
    for cell in table["image"]:
        assert images.decode(cell.as_py()).size == (32, 32)
    path = at_hand(MODELS / "mobilenet_v1_0.25_128")
    facts, processor = opened(str(path), TASK)
    few = column(table["image"][:20].to_pylist())
    encoded = TASK.encode({"image": few}, processor, facts, Options())
    assert not encoded.errors
    assert encoded.fixed["pixel_values"].shape == (20, 3, 128, 128)
    assert encoded.fixed["pixel_values"].dtype == np.float32
