"""What text-generation learns: every token of a text, of a chat the assistant's answers alone."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import transformers

from labelmill.errors import ConfigError
from labelmill.ops import chat_answers
from labelmill.ops.chats import BadChat
from labelmill.tasks.text_generation import TextGeneration
from labelmill.tasks.text_generation import TextGenerationOptions as Options
from tests.support.labelling import columns, known, label
from tests.support.learning import learned, loss_of, model_of, overfit, sequences
from tests.support.writing_models import DECODERS, POSITIONS, tiny_decoder

TASK = TextGeneration()
TEXTS = ["the film was great", "dull!", "caf\u00e9 e\u0301 \u4f60\u597d \U0001f600", "a </s> fox"]
CHAT = [
    {"role": "system", "content": "be dull"},
    {"role": "user", "content": "good food?"},
    {"role": "assistant", "content": "never"},
    {"role": "user", "content": "the film?"},
    {"role": "assistant", "content": "it was great"},
]
# Writes what an assistant thought only in the last answer, as Qwen's does.
THINKING = (
    "{% for message in messages %}{{ '<s>' + message['role'] + '\n' }}"
    "{% if loop.last and message['role'] == 'assistant' %}{{ '(hm)\n' }}{% endif %}"
    "{{ message['content'] + '</s>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<s>assistant\n' }}{% endif %}"
)
# Its prompts begin the answer with what no answer of the data begins with.
FOREIGN = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '</s>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'assistant: <think>' }}{% endif %}"
)
# Writes calls of tools, as templates of models that make some do.
CALLING = (
    "{% for message in messages %}{{ message.role }}: {{ message.content or '' }}"
    "{% for call in message.tool_calls or [] %}{{ call.name }}{% endfor %}</s>{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
Maker = Callable[..., str]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Maker:
    made: dict[str, str] = {}

    def make(architecture: str = "llama") -> str:
        if architecture not in made:
            made[architecture] = tiny_decoder(tmp_path_factory.mktemp(architecture), architecture)
        return made[architecture]

    return make


def templated(tiny: Maker, tmp_path, template: str) -> str:
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny())
    tokenizer.chat_template = template
    model_of(tiny(), TASK, Options()).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return str(tmp_path)


def answers(path: str, examples) -> list[str]:
    """The text of the tokens that are learned, a sequence each."""
    _, processor = known(path)
    return [
        processor.decode([one for one in labels if one != -100])
        for labels in sequences(examples, "labels")
    ]


# Texts


@pytest.mark.parametrize("architecture", DECODERS)
def test_the_loss_of_texts_is_that_of_transformers(tiny, architecture):
    path = tiny(architecture)
    examples = learned(path, TASK, {"text": TEXTS}, {}, Options())
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = model_of(path, TASK, Options())
    total = count = 0.0
    for text, ours in zip(TEXTS, sequences(examples), strict=True):
        ids = tokenizer(text)["input_ids"]
        ids = ids if ids[-1] == tokenizer.eos_token_id else [*ids, tokenizer.eos_token_id]
        assert ours == ids
        one = torch.tensor([ids])
        total += model(input_ids=one, labels=one).loss.item() * (len(ids) - 1)
        count += len(ids) - 1
    found = loss_of(path, TASK, examples, Options(), model)
    assert found.item() == pytest.approx(total / count, abs=1e-5)


def test_padding_is_not_learned(tiny):
    path = tiny("gpt2")
    examples = learned(path, TASK, {"text": TEXTS}, {}, Options())
    model = model_of(path, TASK, Options())
    alone = [learned(path, TASK, {"text": [one]}, {}, Options()) for one in TEXTS]
    counts = [len(sequences(one)[0]) - 1 for one in alone]
    losses = [loss_of(path, TASK, one, Options(), model).item() for one in alone]
    expected = np.average(losses, weights=counts)
    together = loss_of(path, TASK, examples, Options(), model).item()
    assert together == pytest.approx(expected, abs=1e-5)


def test_a_long_text_is_learned_whole_in_pieces(tiny):
    path, text = tiny("gpt2"), "never good " * 60
    examples = learned(path, TASK, {"text": ["a", text]}, {}, Options(max_new_tokens=8))
    pieces = sequences(examples)[1:]
    assert len(pieces) > 1
    assert all(len(piece) <= POSITIONS for piece in pieces)
    whole = [*pieces[0], *(one for piece in pieces[1:] for one in piece[1:])]
    _, processor = known(path)
    assert whole == [*processor(text)["input_ids"], processor.eos_token_id]
    assert examples.encoded.rows.tolist() == [0] + [1] * len(pieces)


def test_a_long_text_may_be_an_error(tiny):
    options = Options(long_text="reject", max_new_tokens=8)
    examples = learned(tiny("gpt2"), TASK, {"text": ["never good " * 60, "a fox"]}, {}, options)
    assert list(examples.encoded.errors) == [0]
    assert f"more than {POSITIONS}" in examples.encoded.errors[0]


def test_a_blank_text_is_an_error(tiny):
    examples = learned(tiny(), TASK, {"text": ["", " ", "a fox"]}, {}, Options())
    assert list(examples.encoded.errors) == [0, 1]
    assert examples.encoded.rows.tolist() == [2]


def test_lengths_are_those_of_prompt_and_answer(tiny):
    options = Options(max_length=10, max_new_tokens=6)
    examples = learned(tiny("gpt2"), TASK, {"text": ["never good " * 9]}, {}, options)
    assert max(examples.encoded.lengths) == 16


# Chats


def test_only_the_assistants_answers_are_learned(tiny):
    path = tiny()
    examples = learned(path, TASK, {"messages": [CHAT]}, {}, Options(max_new_tokens=8))
    assert answers(path, examples) == ["never</s>it was great</s>"]


@pytest.mark.parametrize("architecture", DECODERS)
def test_the_loss_of_a_chat_is_that_of_transformers(tiny, architecture):
    path = tiny(architecture)
    chat = CHAT[1:3]
    examples = learned(path, TASK, {"messages": [chat]}, {}, Options(max_new_tokens=8))
    _, processor = known(path)
    prompt = processor.apply_chat_template(chat[:1], tokenize=False, add_generation_prompt=True)
    head = processor(prompt, add_special_tokens=False)["input_ids"]
    tail = processor("never</s>", add_special_tokens=False)["input_ids"]
    model = model_of(path, TASK, Options())
    ids = torch.tensor([head + tail])
    labels = torch.tensor([[-100] * len(head) + tail])
    expected = model(input_ids=ids, labels=labels).loss
    found = loss_of(path, TASK, examples, Options(), model)
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("architecture", DECODERS)
@pytest.mark.parametrize("system", [None, "be dull"])
def test_the_prompt_has_the_tokens_of_labelling(tiny, architecture, system):
    path, options = tiny(architecture), Options(max_new_tokens=2, system=system)
    chat = CHAT[1:3]
    examples = learned(path, TASK, {"messages": [chat]}, {}, options)
    facts, processor = known(path)
    encoded = TASK.encode(columns({"messages": [chat[:-1]]}), processor, facts, options)
    prompt = encoded.inputs["input_ids"].tolist()
    (ids,), (labels,) = sequences(examples), sequences(examples, "labels")
    assert ids[: len(prompt)] == prompt
    assert labels == [-100] * len(prompt) + ids[len(prompt) :]


def test_answers_that_are_written_otherwise_at_the_end_make_texts_of_their_own(tiny, tmp_path):
    path = templated(tiny, tmp_path, THINKING)
    examples = learned(path, TASK, {"messages": [CHAT]}, {}, Options(max_new_tokens=8))
    assert answers(path, examples) == ["(hm)\nnever</s>", "(hm)\nit was great</s>"]
    assert examples.encoded.rows.tolist() == [0, 0]


def test_a_call_of_a_tool_is_learned_as_the_template_writes_it(tiny, tmp_path):
    path = templated(tiny, tmp_path, CALLING)
    call = {"role": "assistant", "tool_calls": [{"name": "film"}]}
    chat = [CHAT[1], call, {"role": "tool", "content": "a fox"}, CHAT[2]]
    examples = learned(path, TASK, {"messages": [chat]}, {}, Options(max_new_tokens=8))
    assert answers(path, examples) == ["film</s>never</s>"]


def test_a_template_that_does_not_go_on_from_its_prompt_is_refused(tiny, tmp_path):
    path = templated(tiny, tmp_path, FOREIGN)
    examples = learned(path, TASK, {"messages": [CHAT, CHAT]}, {}, Options(max_new_tokens=8))
    assert list(examples.encoded.errors) == [0, 1]
    assert "where its answers begin cannot be told" in examples.encoded.errors[0]


def test_a_chat_of_which_nothing_can_be_learned_is_an_error(tiny):
    chats = [CHAT[1:2], CHAT[2:3], CHAT[1:3], [{"role": "bard", "content": "o"}, CHAT[2]]]
    examples = learned(tiny(), TASK, {"messages": chats}, {}, Options(max_new_tokens=8))
    reasons = examples.encoded.errors
    assert list(reasons) == [0, 1, 3]
    assert "no message of the assistant" in reasons[0]
    assert "is the first" in reasons[1]
    assert "no such role" in reasons[3]


def test_a_long_chat_loses_its_beginning(tiny):
    chat = [{"role": "user", "content": "never good " * 60}, CHAT[2]]
    path = tiny("gpt2")
    examples = learned(path, TASK, {"messages": [chat]}, {}, Options(max_new_tokens=8))
    assert examples.encoded.lengths.tolist() == [POSITIONS]
    assert answers(path, examples) == ["never</s>"]
    refused = Options(max_new_tokens=8, long_text="reject")
    assert list(learned(path, TASK, {"messages": [chat]}, {}, refused).encoded.errors) == [0]


def test_a_model_without_a_template_is_refused(tiny, tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny())
    tokenizer.chat_template = None
    with pytest.raises(ConfigError, match="chat template"):
        chat_answers.learned(["[]"], tokenizer, None, None, None, refuse=False)


def test_a_token_over_the_edge_of_an_answer_is_refused(tiny):
    """A tokenizer that puts a space before each text cannot begin an answer by itself."""
    from tests.support.models import processor_of

    tokenizer = processor_of("xlm-roberta")
    answered = chat_answers.Answered("the fox", ((1, 7),))
    with pytest.raises(BadChat, match="covers the end"):
        chat_answers.tokenized(answered, tokenizer)


def test_eight_chats_are_learned_by_heart(tiny, tmp_path):
    path, options = tiny(), Options(max_new_tokens=8)
    words = "the quick brown fox jumps over lazy dog".split()  # noqa: SIM905
    asked = [[{"role": "user", "content": word}] for word in words]
    told = [f"{word} was good" for word in reversed(words)]
    full = [
        [*chat, {"role": "assistant", "content": one}]
        for chat, one in zip(asked, told, strict=True)
    ]
    examples = learned(path, TASK, {"messages": full}, {}, options)
    trained = overfit(path, TASK, examples, options, tmp_path)
    table = label(trained, TASK, {"messages": asked}, options)
    assert table["generated_text"].to_pylist() == told
    assert set(table["finish_reason"].to_pylist()) == {"stop"}
