"""FSDP: two workers that have half of the weights each learn what one with all of them does.

On CPUs, where torch shards as on GPUs; tests.support.fsdp says what stands in.
"""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForSeq2SeqLM

from labelmill.training import sharding
from labelmill.training.loop import train
from tests.support.fsdp import train_sharded
from tests.support.image_models import encoded_as, tiny_image_classifier
from tests.support.models import save_tiny
from tests.support.training import (
    STILL,
    Desk,
    evaluated,
    job_of,
    losses_of,
    ready,
    reviews,
    state_of,
    tagged,
    write_rows,
)
from tests.support.writing_models import calm, tiny_decoder, tiny_encoder_decoder

pytestmark = pytest.mark.slow

BASE = {"optim": "sgd", "learning_rate": 0.05, "num_train_epochs": 3, "max_grad_norm": 0.5}
COUNT = 61
ROWS = reviews(COUNT)
LEARNED = 45  # so that the last step of an epoch is not full


def encoder(place):
    return save_tiny(place, "bert", "AutoModelForMaskedLM")


def classified(place):
    return encoder(place), ROWS, STILL


def of_layers_without_names(place):
    return save_tiny(place, "deberta-v2", "AutoModelForMaskedLM"), ROWS, STILL


def told_apart(place):
    return encoder(place), tagged(COUNT), STILL


def near(place):
    texts = ROWS["text"]
    return encoder(place), {"text": texts, "positive": [text[::-1] for text in texts]}, STILL


def written(place):
    place.mkdir()
    start = calm(tiny_encoder_decoder(place, "t5"))
    return start, {"text": ROWS["text"], "summary": ROWS["label"]}, {"dropout_rate": 0.0}


def gone_on_with(place):
    place.mkdir()
    return tiny_decoder(place, "llama"), {"text": ROWS["text"]}, {}


def shown():
    shades = [Image.new("RGB", (32, 32), (row * 4,) * 3) for row in range(COUNT)]
    return {"image": [encoded_as(shade) for shade in shades], "label": ROWS["label"]}


def seen(place):
    return tiny_image_classifier(place), shown(), {}


def seen_without_words(place):
    return tiny_image_classifier(place, "convnext"), shown(), {}


CASES = {
    "bert": ("text-classification", classified, {}),
    "deberta": ("text-classification", of_layers_without_names, {}),
    "adapters": ("text-classification", classified, {"lora": {"r": 4, "dropout": 0.0}}),
    "checkpointing": ("text-classification", classified, {"gradient_checkpointing": True}),
    "accumulated": ("token-classification", told_apart, {"gradient_accumulation_steps": 2}),
    "embeddings": ("feature-extraction", near, {}),
    "t5": ("summarization", written, {}),
    "llama": ("text-generation", gone_on_with, {}),
    "vit": ("image-classification", seen, {}),
    "convnext": ("image-classification", seen_without_words, {}),
}


def recipe_of(folder, case, workers, **more):
    folder.mkdir()
    task, made, training = CASES[case]
    start, rows, config = made(folder / "start")
    parts = {"train": slice(LEARNED), "validation": slice(LEARNED, None)}
    data = {
        part: write_rows(folder / f"{part}.parquet", {name: rows[name][these] for name in rows})
        for part, these in parts.items()
    }
    batch = {f"per_device_{name}_batch_size": 8 // workers for name in ("train", "eval")}
    job = job_of(
        folder,
        task,
        start,
        data,
        model={"config": config},
        training={**BASE, **batch, **training, **more},
    )
    return ready(job, workers).recipe


def alone(tmp_path, case, **more):
    desk = Desk(tmp_path / "alone")
    assert train(recipe_of(tmp_path / "alone", case, 1, **more), desk)
    return desk


def measured(desk):
    timed = ("_runtime", "_per_second")
    return [
        {name: value for name, value in entry.items() if not name.endswith(timed)}
        for entry in evaluated(desk)
    ]


def the_same(found, wanted):
    np.testing.assert_allclose(losses_of(found), losses_of(wanted), rtol=1e-4)
    for one, other in zip(measured(found), measured(wanted), strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)


@pytest.mark.filterwarnings("ignore:.gradient_checkpointing. is deprecated")
@pytest.mark.parametrize(
    "case",
    [
        case if case in {"adapters", "t5"} else pytest.param(case, marks=pytest.mark.faults)
        for case in CASES
    ],
)
def test_sharded_learns_what_one_worker_does(tmp_path, case):
    place = tmp_path / "sharded"
    sharded, one = train_sharded(recipe_of(place, case, 2), place), alone(tmp_path, case)
    the_same(sharded, one)
    name = "adapter_model" if case == "adapters" else "model"
    wanted, found = (load_file(desk.resume() / f"{name}.safetensors") for desk in (one, sharded))
    assert wanted.keys() <= found.keys()  # tied weights are written for each of their names
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=2e-5)


def test_stopped_and_gone_on_with_it_is_the_same_training(tmp_path):
    adam = {"optim": "adamw_torch", "learning_rate": 1e-3}
    place = tmp_path / "broken"
    whole, recipe = alone(tmp_path, "bert", **adam), recipe_of(place, "bert", 2, **adam)
    stopped = train_sharded(recipe, place, stop_at=10)
    assert state_of(stopped)["global_step"] < state_of(whole)["global_step"]
    the_same(train_sharded(recipe, place), whole)


@pytest.mark.parametrize(
    ("architecture", "units"),
    [("bert", ["BertLayer"]), ("roberta", ["RobertaLayer"]), ("deberta-v2", ["DebertaV2Layer"])],
)
def test_layers_are_sharded_by_themselves_and_words_are_not(tmp_path, architecture, units):
    model = AutoModel.from_pretrained(save_tiny(tmp_path, architecture, "AutoModel"))
    assert sharding.layers(model) == units
    assert sharding.config_for(model, None) == {"transformer_layer_cls_to_wrap": units}


@pytest.mark.parametrize("prefix", ["", "fsdp_"])
def test_what_the_job_says_of_it_stays(tmp_path, prefix):
    model = AutoModel.from_pretrained(save_tiny(tmp_path, "bert", "AutoModel"))
    own = {f"{prefix}transformer_layer_cls_to_wrap": ["BertAttention"], "cpu_offload": True}
    assert sharding.config_for(model, own) == {
        "transformer_layer_cls_to_wrap": ["BertAttention"],
        "cpu_offload": True,
    }
    size = {f"{prefix}auto_wrap_policy": "SIZE_BASED_WRAP", "min_num_params": 1000}
    assert sharding.config_for(model, size) == {
        "auto_wrap_policy": "SIZE_BASED_WRAP",
        "min_num_params": 1000,
    }


def test_encoder_and_decoder_have_one_module_of_words(tmp_path):
    model = AutoModelForSeq2SeqLM.from_pretrained(tiny_encoder_decoder(tmp_path, "bart"))
    sharding.prepare(model)
    words = model.get_input_embeddings()
    assert model.model.encoder.embed_tokens is words
    assert model.model.decoder.embed_tokens is words
