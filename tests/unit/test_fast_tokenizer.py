"""A tokenizer as plain data gives the tokens of the one it was made from."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from labelmill import checkpoints
from labelmill.ops import tokens
from tests.support.models import tiny_classifier

TEXTS = ["", "the cat sat", "e\u0301 \U0001f600 \u05d0\u05d1 \u4f60\u597d", "mat " * 300]


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta"])
def test_fast_tokenizer_encodes_as_the_processor_does(tmp_path: Path, architecture: str) -> None:
    path = tiny_classifier(str(tmp_path / "model"), architecture)
    checkpoint = checkpoints.resolve(path, None, trust_remote_code=False, allow_pickle=False)
    made = checkpoints.fast_tokenizer(checkpoint)
    assert made is not None
    sent = pickle.loads(pickle.dumps(made))

    for texts in (TEXTS, tokens.pair_up(TEXTS, TEXTS[::-1])):
        ours = tokens.truncated(texts, sent, 40)
        theirs = tokens.truncated(texts, checkpoints.processor(checkpoint), 40)
        assert ours.lengths.tolist() == theirs.lengths.tolist()
        assert {name: ids.tolist() for name, ids in ours.inputs.items()} == {
            name: ids.tolist() for name, ids in theirs.inputs.items()
        }


def test_processes_that_only_carry_a_checkpoint_import_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, labelmill.tasks.text_classification;"
        "from labelmill.pipeline import ray_run, replica_process;"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "[]"
