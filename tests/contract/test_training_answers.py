"""What question-answering learns: transformers' own loss at the tokens of the answer."""

import json
from collections.abc import Callable

import pytest
import torch
import transformers

from labelmill.tasks.question_answering import QuestionAnswering
from labelmill.tasks.question_answering import QuestionAnsweringOptions as Options
from tests.support.labelling import columns, known, label
from tests.support.learning import batch, learned, loss_of, model_of, overfit
from tests.support.models import save_tiny

TASK = QuestionAnswering()
QUESTIONS = ["what jumps?", "who?", "what was good?", "why?"]
CONTEXTS = [
    "the quick brown fox jumps over a lazy dog",
    "caf\u00e9 na\u00efve \u4f60\u597d, really! the actor",
    "the film was bad but the food was good. " * 6 + "then the service was great",
    "nobody knows",
]
TEXTS = ["brown fox", "the actor", "service", ""]
OPTIONS = Options(max_length=32, stride=8, max_question_length=16)
Maker = Callable[..., str]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Maker:
    made: dict[str, str] = {}

    def make(architecture: str = "bert") -> str:
        if architecture not in made:
            made[architecture] = save_tiny(
                tmp_path_factory.mktemp(architecture), architecture, "AutoModelForQuestionAnswering"
            )
        return made[architecture]

    return make


def squad() -> list[str]:
    starts = [context.rindex(text) for context, text in zip(CONTEXTS, TEXTS, strict=True)]
    return [
        json.dumps({"text": [text] if text else [], "answer_start": [start] if text else []})
        for text, start in zip(TEXTS, starts, strict=True)
    ]


def rows() -> dict[str, list[str]]:
    return {"question": QUESTIONS, "context": CONTEXTS}


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta", "distilbert"])
def test_the_loss_is_that_of_transformers(tiny, architecture):
    """Windows and places by the tokenizer's own offsets, as SQuAD's scripts have them."""
    path = tiny(architecture)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(path).eval()
    windows = tokenizer(
        QUESTIONS, CONTEXTS, truncation="only_second", max_length=32, stride=8, padding=True,
        return_overflowing_tokens=True, return_offsets_mapping=True, return_tensors="pt",
    )  # fmt: skip
    begins, ends = [], []
    for window, row in enumerate(windows["overflow_to_sample_mapping"].tolist()):
        begin = CONTEXTS[row].rindex(TEXTS[row])
        end = begin + len(TEXTS[row])
        places = [
            (number, offsets)
            for number, offsets in enumerate(windows["offset_mapping"][window].tolist())
            if windows.sequence_ids(window)[number] == 1
        ]
        first = [number for number, (one, other) in places if one <= begin < other]
        last = [number for number, (one, other) in places if one < end <= other]
        whole = first and last and TEXTS[row]
        begins.append(first[0] if whole else 0)
        ends.append(last[-1] if whole else 0)
    given = {
        name: windows[name]
        for name in ("input_ids", "attention_mask", "token_type_ids")
        if name in windows
    }
    expected = model(
        **given, start_positions=torch.tensor(begins), end_positions=torch.tensor(ends)
    ).loss
    examples = learned(path, TASK, rows(), {"answers": squad()}, OPTIONS)
    assert dict(examples.encoded.errors) == {}
    assert batch(path, TASK, examples)["start_positions"].tolist() == begins
    found = loss_of(path, TASK, examples, OPTIONS, model_of(path, TASK, OPTIONS))
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)


def test_windows_are_those_of_labelling(tiny):
    examples = learned(tiny(), TASK, rows(), {"answers": squad()}, OPTIONS)
    facts, processor = known(tiny())
    encoded = TASK.encode(columns(rows()), processor, facts, OPTIONS)
    assert examples.encoded.inputs["input_ids"].tolist() == encoded.inputs["input_ids"].tolist()
    assert len(encoded) > len(QUESTIONS)


def test_answers_may_be_texts(tiny):
    starts = [None, None, str(CONTEXTS[2].rindex("service")), None]
    told = {"answer": TEXTS, "answer_start": starts}
    ours = learned(tiny(), TASK, rows(), told, OPTIONS)
    theirs = learned(tiny(), TASK, rows(), {"answers": squad()}, OPTIONS)
    for name, values in theirs.targets.items():
        assert ours.targets[name].tolist() == values.tolist()


def test_without_a_class_token_rows_without_an_answer_are_errors(tiny):
    path = tiny("gpt2")
    _, processor = known(path)
    assert processor.cls_token_id is not None
    processor = transformers.AutoTokenizer.from_pretrained(path)
    processor.cls_token = None
    facts, _ = known(path)
    examples = TASK.learn(columns(rows()), columns({"answers": squad()}), processor, facts, OPTIONS)
    assert list(examples.encoded.errors) == [3]
    assert set(examples.encoded.rows.tolist()) == {0, 1, 2}


def test_the_head_may_be_new(tiny):
    head = TASK.head({}, known(tiny())[0], OPTIONS)
    assert head.labels == ("start", "end")


def test_eight_rows_are_learned_by_heart(tiny, tmp_path):
    words = "quick brown fox jumps over lazy dog film".split()  # noqa: SIM905
    contexts = [" ".join(words[place:] + words[:place]) for place in range(8)]
    given = {"question": ["what was good?", "what was bad?"] * 4, "context": contexts}
    told = [words[(place + 2) % 8] if place % 2 else words[place] for place in range(8)]
    options = Options(max_length=32, max_question_length=8, stride=4)
    examples = learned(tiny(), TASK, given, {"answer": told}, options)
    trained = overfit(tiny(), TASK, examples, options, tmp_path, fresh=False)
    assert label(trained, TASK, given, options)["answer"].to_pylist() == told
