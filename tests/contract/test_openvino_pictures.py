"""The engine openvino on pictures: what PyTorch says, for the one shape a graph is made for."""

import numpy as np
import pytest

pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")

from huggingface_hub import constants
from transformers import ViTImageProcessorPil

from labelmill import checkpoints, engines
from labelmill.batch import Microbatch
from labelmill.engines import Use, openvino
from labelmill.errors import ConfigError, EngineError
from labelmill.ops import pixels
from labelmill.readouts import ImageText, Logits
from tests.support.image_models import CLASSIFIERS, SIDE, opened, tiny_image_classifier

AUTO_CLASS = "AutoModelForImageClassification"
SHAPE = (3, SIDE, SIDE)
TOLERANCE = 1e-4


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    """Graphs of this module, by themselves."""
    home = tmp_path_factory.getbasetemp() / "picture_graphs"
    monkeypatch.setattr(constants, "HF_HOME", str(home))


def loaded(name, path, precision="float32"):
    checkpoint = checkpoints.resolve(path, None, trust_remote_code=False, allow_pickle=False)
    return engines.load(
        name, checkpoint, AUTO_CLASS, Logits(), precision=precision, device="cpu", threads=1
    )


def microbatch(pictures, shape=SHAPE):
    random = np.random.default_rng(7).standard_normal((pictures, *shape)).astype(np.float32)
    return Microbatch(
        sequences=np.arange(pictures),
        lengths=np.full(pictures, 4, np.int64),
        inputs={"pixel_values": random},
    )


def logits(engine, batch):
    return engine.forward(batch)["logits"]


@pytest.mark.parametrize("architecture", sorted(openvino._PICTURE_TYPES))
def test_logits_are_pytorchs_for_every_architecture_that_auto_gives_it(tmp_path, architecture):
    assert architecture in CLASSIFIERS
    path = tiny_image_classifier(tmp_path, architecture)
    ours, theirs = loaded("openvino", path), loaded("pytorch", path)
    for pictures in (5, 1, 8):
        found, wanted = (logits(engine, microbatch(pictures)) for engine in (ours, theirs))
        assert found.shape == wanted.shape == (pictures, 3)
        assert found.dtype == wanted.dtype == np.float32
        assert np.abs(found - wanted).max() < TOLERANCE
    assert np.ptp(wanted, axis=0).min() > 100 * TOLERANCE, "all pictures look the same to it"


def test_logits_are_the_same_in_any_company(tmp_path):
    engine = loaded("openvino", tiny_image_classifier(tmp_path))
    many = microbatch(6)
    together = logits(engine, many)
    for place in range(6):
        one = Microbatch(
            sequences=np.arange(1),
            lengths=many.lengths[:1],
            inputs={"pixel_values": many.inputs["pixel_values"][place : place + 1]},
        )
        assert np.abs(logits(engine, one) - together[place]).max() < TOLERANCE


def test_pictures_of_another_shape_are_an_error_of_the_engine(tmp_path):
    engine = loaded("openvino", tiny_image_classifier(tmp_path, "mobilenet_v2"))
    with pytest.raises(EngineError, match="OpenVINO failed"):
        engine.forward(microbatch(2, (3, SIDE, SIDE + 8)))
    assert logits(engine, microbatch(2)).shape == (2, 3)


def test_shape_is_that_of_the_checkpoints_image_processor(tmp_path):
    class Task:
        processor = "AutoImageProcessor"

    processor = opened(tiny_image_classifier(tmp_path, "dinov2"), Task)[1]
    assert pixels.shape_of(processor) == SHAPE


def uneven(path):
    """Pictures keep their ratio of width to height."""
    ViTImageProcessorPil(size={"shortest_edge": SIDE}, do_center_crop=False).save_pretrained(path)
    return path


def test_pictures_of_unequal_shapes_are_refused_and_auto_leaves_them_to_pytorch(tmp_path):
    path = uneven(tiny_image_classifier(tmp_path, "mobilenet_v2"))
    with pytest.raises(ConfigError, match=r"unequal shapes.*'pytorch'"):
        loaded("openvino", path)
    use = Use(model_type="mobilenet_v2", readout=Logits(), picture=None)
    assert engines.choose("auto", "float32", "cpu", use) == ("pytorch", "float32")


def test_auto_takes_it_on_a_cpu_for_what_it_was_tried_with():
    use = Use(model_type="vit", readout=Logits(), picture=SHAPE)
    assert engines.choose("auto", "float32", "cpu", use) == ("openvino", "float32")
    assert engines.choose("auto", "float32", "cuda", use) == ("pytorch", "float32")
    for other in (
        Use(model_type="convnext", readout=Logits(), picture=SHAPE),
        Use(model_type="vit", readout=ImageText(texts=((1,),)), picture=SHAPE),
        Use(model_type="vit", readout=Logits(), picture=SHAPE, own_code=True),
    ):
        assert engines.choose("auto", "float32", "cpu", other) == ("pytorch", "float32")


def test_int8_is_for_text_and_says_so(tmp_path):
    use = Use(model_type="vit", readout=Logits(), picture=SHAPE)
    with pytest.raises(ConfigError, match="int8"):
        engines.choose("auto", "int8", "cpu", use)
    path = tiny_image_classifier(tmp_path)
    checkpoint = checkpoints.resolve(path, None, trust_remote_code=False, allow_pickle=False)
    with pytest.raises(ConfigError, match=r"int8.*models that read text"):
        engines.quantize("openvino", checkpoint, AUTO_CLASS, Logits(), [microbatch(2)], threads=1)
