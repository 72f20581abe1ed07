"""text-generation: it is transformers' `generate` row by row, in any company; chats and seeds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers

from labelmill.errors import ConfigError
from labelmill.ops import chats
from labelmill.tasks.text_generation import TextGeneration
from labelmill.tasks.text_generation import TextGenerationOptions as Options
from tests.support.labelling import columns, known, label
from tests.support.writing_models import DECODERS, tiny_decoder

TASK = TextGeneration()
WORKS = {TASK.name: DECODERS}
STORIES = Path(__file__).parents[3] / "shared" / "data" / "models" / "stories260k-llama"
TEXTS = [
    "the film was great",
    "",
    "terrible service, slow and dull!",
    " ",
    "never good " * 60,
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 emoji",
    "e\u0301 combining a\u0323\u0307",
    "\u0634\u0643\u0631\u0627 \u05e9\u05dc\u05d5\u05dd",
    "\u4f60\u597d\u4e16\u754c",
    "a\x00b \x07\ufffe\u200b",
    "</s> <s> the end",
    "the film was great",
]
CHATS = [
    [{"role": "user", "content": "the film?"}],
    [{"role": "system", "content": "be dull"}, {"role": "user", "content": "good food"}],
    [{"role": "user", "content": "a fox"}, {"role": "assistant", "content": "it was"}],
]
Maker = Callable[..., str]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Maker:
    made: dict[str, str] = {}

    def make(architecture: str = "llama") -> str:
        if architecture not in made:
            made[architecture] = tiny_decoder(tmp_path_factory.mktemp(architecture), architecture)
        return made[architecture]

    return make


def plain(path: str, texts: list[str], room: int, new: int, **settings: Any) -> list[Any]:
    """The obvious way: one row after another; (text, reason, tokens)."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModelForCausalLM.from_pretrained(path).eval()
    found = []
    for text in texts:
        ids = tokenizer(text)["input_ids"] or [tokenizer.bos_token_id]
        if len(ids) > room:
            head = ids[:1] if ids[0] == tokenizer.bos_token_id else []
            ids = head + ids[len(ids) - room + len(head) :]
        given = torch.tensor([ids])
        written = model.generate(
            given, attention_mask=torch.ones_like(given), max_new_tokens=new, **settings
        )[0, len(ids) :].tolist()
        stopped = written[-1] == tokenizer.eos_token_id
        kept = written[:-1] if stopped else written
        decoded = tokenizer.decode(kept, skip_special_tokens=True)
        found.append((decoded, "stop" if stopped else "length", len(kept)))
    return found


def rows(table: pa.Table) -> list[Any]:
    return [tuple(row.values()) for row in table.to_pylist()]


@pytest.mark.parametrize("architecture", DECODERS)
def test_greedy_text_equals_generate_row_by_row(tiny, architecture):
    path = tiny(architecture)
    table = label(path, TASK, {"text": TEXTS}, Options(max_new_tokens=24), budget=10**9)
    assert rows(table) == plain(path, TEXTS, 40, 24)
    assert table.schema == TASK.schema(known(path)[0], Options(max_new_tokens=24))
    table.validate(full=True)


@pytest.mark.parametrize("architecture", DECODERS)
def test_some_rows_end_before_others(tiny, architecture):
    """Else the other tests would prove little."""
    table = label(tiny(architecture), TASK, {"text": TEXTS}, Options(max_new_tokens=24))
    assert len(set(table["generated_text"].to_pylist())) > 5
    assert len(set(table["generated_tokens"].to_pylist())) > 1


@pytest.mark.parametrize(
    "options",
    [
        Options(max_new_tokens=20),
        Options(max_new_tokens=20, temperature=1.5, top_k=0, seed=3),
        Options(max_new_tokens=20, temperature=0.8, top_k=20, top_p=0.9, min_p=0.01),
        Options(max_new_tokens=20, min_new_tokens=8, repetition_penalty=1.4),
        Options(max_new_tokens=20, stop=("e", "a b")),
    ],
)
def test_any_microbatch_and_order_gives_the_same_text(tiny, options):
    for architecture in ("llama", "gpt2"):
        path = tiny(architecture)
        wanted = label(path, TASK, {"text": TEXTS}, options, budget=1)
        for budget in (256, 10**9):
            assert label(path, TASK, {"text": TEXTS}, options, budget=budget) == wanted
        backward = label(path, TASK, {"text": TEXTS[::-1]}, options, budget=10**9)
        assert rows(backward) == rows(wanted)[::-1]


def test_settings_are_those_of_generate(tiny):
    for architecture in ("llama", "gpt2"):
        path = tiny(architecture)
        options = Options(max_new_tokens=20, min_new_tokens=8, repetition_penalty=1.4)
        found = rows(label(path, TASK, {"text": TEXTS}, options, budget=10**9))
        expected = plain(path, TEXTS, 44, 20, min_new_tokens=8, repetition_penalty=1.4)
        assert found == expected


@pytest.mark.parametrize(
    "own",
    [
        {"num_beams": 3, "num_return_sequences": 2},
        {"return_dict_in_generate": True},
        {"min_length": 12},  # prompt and new tokens
        {"no_repeat_ngram_size": 1, "encoder_repetition_penalty": 1.3},
    ],
)
def test_settings_of_a_checkpoint_for_other_shapes_change_no_row(tmp_path, own):
    path = tiny_decoder(tmp_path, "llama")
    place = tmp_path / "generation_config.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | own))
    found = rows(label(path, TASK, {"text": TEXTS}, Options(max_new_tokens=12), budget=10**9))
    one = {"num_return_sequences": 1, "return_dict_in_generate": False, "num_beams": 1}
    assert found == plain(path, TEXTS, 52, 12, **one)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "qwen2"])
def test_greedy_text_agrees_with_the_pipeline(tiny, architecture):
    path = tiny(architecture)
    pipe = transformers.pipeline("text-generation", model=path)
    short = [text for text in TEXTS if len(text) < 40]
    how = {"do_sample": False, "return_full_text": False}  # its own default is to sample
    answers = [pipe(one, max_new_tokens=20, **how)[0] for one in short]
    found = label(path, TASK, {"text": short}, Options(max_new_tokens=20))
    assert found["generated_text"].to_pylist() == [one["generated_text"] for one in answers]


def test_chats_agree_with_the_pipeline(tiny):
    pipe = transformers.pipeline("text-generation", model=tiny())
    how = {"do_sample": False, "return_full_text": False}
    answers = [pipe(one, max_new_tokens=12, **how)[0] for one in CHATS]
    found = label(tiny(), TASK, {"messages": CHATS}, Options(max_new_tokens=12))
    assert found["generated_text"].to_pylist() == [one["generated_text"] for one in answers]


# Prompts


def test_a_system_message_is_put_first_where_there_is_none(tiny):
    facts, processor = known(tiny())
    options = Options(max_new_tokens=12, system="be brief")
    encoded = TASK.encode(columns({"messages": CHATS}), processor, facts, options)
    made = [
        processor.decode(encoded.inputs["input_ids"][start:end])
        for start, end in zip(encoded.offsets, encoded.offsets[1:], strict=False)
    ]
    assert made == [
        "<s>system: be brief</s><s>user: the film?</s><s>assistant: ",
        "<s>system: be dull</s><s>user: good food</s><s>assistant: ",
        "<s>system: be brief</s><s>user: a fox</s><s>assistant: it was",
    ]


def test_a_template_that_asks_for_the_date_is_told_that_of_the_job(tiny, monkeypatch):
    facts, processor = known(tiny())
    asking = "{{ strftime_now('%d %b %Y') }} " + processor.chat_template
    monkeypatch.setattr(processor, "chat_template", asking)
    fields, ours = columns({"messages": CHATS[2:]}), Options(max_new_tokens=12, date="2024-02-29")
    for options, day in (
        (ours, "29 Feb 2024"),
        (ours.begun("2026-01-31"), "29 Feb 2024"),
        (Options(max_new_tokens=12).begun("2026-01-31"), "31 Jan 2026"),
    ):
        encoded = TASK.encode(fields, processor, facts, options)
        learned = TASK.learn(fields, {}, processor, facts, options)
        for made in (encoded, learned.encoded):
            assert processor.decode(made.inputs["input_ids"]).startswith(day)
    with pytest.raises(ValueError, match="is no day; write it as 2026-01-31"):
        Options(max_new_tokens=12, date="2026-02-30")


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ("{", "no JSON"),
        ("[]", "an empty list"),
        ('{"role": "user"}', "a dict"),
        ('["hello"]', "message 0 is a str"),
        ('[{"content": "hi"}]', "message 0 has no 'role'"),
        ('[{"role": "user"}]', "message 0 has no 'content'"),
        ('[{"role": "pirate", "content": "hi"}]', "no such role: pirate"),
        ('[{"role": "user", "content": 7}]', "refuses the messages"),
        ('[{"role": "user", "content": "divide"}]', "refuses the messages: division by zero"),
        ('[{"role": "user", "content": "\\ud800"}]', "half of a surrogate pair"),
        ('[{"role": "\\udfff", "content": "hi"}]', "half of a surrogate pair"),
        ("[" * 100_000, "nested deeper than 200 levels"),
        (f'[{{"role": "user", "content": {"[" * 300 + "]" * 300}}}]', "nested deeper"),
    ],
)
def test_messages_that_make_no_prompt_are_an_error_of_their_row(tiny, messages, reason):
    facts, processor = known(tiny())
    given = [json.dumps(CHATS[0]), messages, json.dumps(CHATS[1])]
    encoded = TASK.encode(
        columns({"messages": given}), processor, facts, Options(max_new_tokens=12)
    )
    assert encoded.rows.tolist() == [0, 2]
    assert list(encoded.errors) == [1]
    assert reason in encoded.errors[1]


def test_a_message_that_calls_a_tool_needs_no_content(tiny, monkeypatch):
    facts, processor = known(tiny())
    template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content or '' }}"
        "{% for c in m.tool_calls or [] %}{{ c.name }}{% endfor %}</s>{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    monkeypatch.setattr(processor, "chat_template", template)
    call = {"role": "assistant", "tool_calls": [{"name": "film"}]}
    chat = [{"role": "user", "content": "good"}, call, {"role": "tool", "content": "a fox"}]
    fields, options = columns({"messages": [chat, chat[:2]]}), Options(max_new_tokens=12)

    encoded = TASK.encode(fields, processor, facts, options)

    assert encoded.rows.tolist() == [0]
    assert "refuses the messages" in encoded.errors[1]  # nothing is written to go on from
    written = processor.decode(encoded.inputs["input_ids"])
    assert written == "user: good</s>assistant: film</s>tool: a fox</s>assistant: "


def test_nothing_to_go_on_from_is_an_error_of_its_row(tiny):
    """Of a model that has no token that begins a text, as Qwen has none."""
    facts, processor = known(tiny())

    class Bare:
        bos_token_id = None

        def __call__(self, texts, **how):
            return processor(texts, **{**how, "add_special_tokens": False})

    fields = columns({"text": ["", "the"]})
    encoded = TASK.encode(fields, Bare(), facts, Options(max_new_tokens=12))
    assert encoded.rows.tolist() == [1]
    assert "the prompt is empty" in encoded.errors[0]


def test_messages_without_a_chat_template_are_refused(tiny):
    class Bare:
        chat_template = None

    with pytest.raises(ConfigError, match="chat template"):
        chats.prompts(["[]"], Bare(), None)


def test_chat_templates_without_a_usual_one_are_refused_once(tiny, monkeypatch):
    _, processor = known(tiny())
    monkeypatch.setattr(processor, "chat_template", {"tool_use": "a", "rag": "b"})
    with pytest.raises(ConfigError, match=r"chat templates cannot be used.*rag"):
        chats.prompts(["[]"], processor, None)


def test_system_for_texts_is_refused(tiny):
    facts, processor = known(tiny())
    with pytest.raises(ConfigError, match=r"options\.system"):
        TASK.encode(columns({"text": ["a"]}), processor, facts, Options(system="be brief"))


def test_a_long_prompt_keeps_its_end_and_the_beginning_token(tiny):
    facts, processor = known(tiny())
    text = "never good " * 60 + "the plot"
    encoded = TASK.encode(
        columns({"text": [text]}), processor, facts, Options(max_length=10, max_new_tokens=4)
    )
    whole = processor(text)["input_ids"]
    assert encoded.inputs["input_ids"].tolist() == [whole[0], *whole[-9:]]
    assert encoded.written == 4


def test_a_long_prompt_is_rejected_where_the_job_says_so(tiny):
    facts, processor = known(tiny())
    options = Options(max_length=10, max_new_tokens=4, long_text="reject")
    encoded = TASK.encode(columns({"text": TEXTS[:5]}), processor, facts, options)
    assert 4 in encoded.errors
    assert "more than 10" in encoded.errors[4]
    assert 4 not in encoded.rows


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (Options(max_new_tokens=64), "max_new_tokens"),
        (Options(max_length=50, max_new_tokens=15), "max_length"),
    ],
)
def test_more_tokens_than_positions_are_refused(tiny, options, key):
    facts, _ = known(tiny("gpt2"))
    with pytest.raises(ConfigError, match=f"options.{key}"):
        TASK.schema(facts, options)


@pytest.mark.parametrize("idle", [{"top_k": 5}, {"top_p": 0.5}, {"min_p": 0.1}, {"seed": 1}])
def test_sampling_options_without_temperature_are_refused(idle):
    with pytest.raises(ValueError, match="temperature above 0"):
        Options(**idle)


# Stops


def test_a_stop_string_ends_the_text_before_it(tiny):
    options = Options(max_new_tokens=24)
    whole = rows(label(tiny(), TASK, {"text": TEXTS}, options))
    stop = next(text[9:11] for text, *_ in whole if len(text) > 15 and "\ufffd" not in text[9:11])
    found = rows(label(tiny(), TASK, {"text": TEXTS}, Options(max_new_tokens=24, stop=(stop,))))
    ended = 0
    for (text, reason, tokens), (cut, why, count) in zip(whole, found, strict=True):
        at = text.find(stop)
        assert cut == (text if at < 0 else text[:at])
        assert why == (reason if at < 0 else "stop")
        assert count == tokens if at < 0 else count <= tokens
        ended += count < tokens
    assert ended


# Sampling


def test_equal_rows_get_equal_texts_and_other_seeds_others(tiny):
    options = Options(max_new_tokens=16, temperature=1.2)
    found = rows(label(tiny(), TASK, {"text": TEXTS}, options))
    assert found[0] == found[-1]
    other = rows(
        label(tiny(), TASK, {"text": TEXTS}, Options(max_new_tokens=16, temperature=1.2, seed=1))
    )
    assert sum(one != two for one, two in zip(found, other, strict=True)) > len(TEXTS) // 2


@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}])
def test_drawing_from_the_likeliest_alone_is_greedy(tiny, narrow):
    path, wide = tiny(), {"max_new_tokens": 12, "temperature": 1.5, "seed": 7}
    greedy = rows(label(path, TASK, {"text": TEXTS}, Options(max_new_tokens=12)))
    assert rows(label(path, TASK, {"text": TEXTS}, Options(**wide, **narrow))) == greedy
    assert rows(label(path, TASK, {"text": TEXTS}, Options(**wide))) != greedy


def test_first_tokens_are_drawn_as_often_as_the_model_says(tiny):
    """Two thousand rows that differ in nothing but their seed."""
    path, options = tiny(), Options(max_new_tokens=1, temperature=1.0, top_k=8)
    facts, processor = known(path)
    model = transformers.AutoModelForCausalLM.from_pretrained(path).eval()
    encoded = TASK.encode(columns({"text": ["the fox"]}), processor, facts, options)
    given = torch.tensor(encoded.inputs["input_ids"])[None].long()
    with torch.no_grad():
        scores, ids = model(given).logits[0, -1].topk(8)
    expected = torch.softmax(scores, 0).numpy()
    from labelmill.engines.pytorch.sampling import drawn

    filtered = torch.full((2000, model.config.vocab_size), -torch.inf)
    filtered[:, ids] = scores
    chosen = drawn(filtered, torch.arange(2000) * 7919, 0).numpy()
    shares = np.array([(chosen == one).mean() for one in ids.tolist()])
    assert np.abs(shares - expected).max() < 0.04
    assert shares.sum() == pytest.approx(1)


# Real weights


@pytest.mark.skipif(not STORIES.exists(), reason="the story model is not on this machine")
@pytest.mark.parametrize("budget", [1, 10**9])
def test_stories_equal_the_expected_text_to_the_letter(budget):
    expected = (STORIES / "EXPECTED_greedy.txt").read_text("utf-8").rstrip("\n")
    prompts = ["Lily", "", "The big red ball", "Once upon a time, there was a dog"]
    options = Options(max_new_tokens=256)
    table = label(str(STORIES), TASK, {"text": prompts}, options, budget=budget)
    assert table["generated_text"][1].as_py() == expected
