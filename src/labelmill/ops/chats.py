"""Chats: lists of messages, as JSON text, to the prompt that a model's chat template makes of them.

A message is an object with "role" and "content", or "tool_calls" in its place; what else it may
hold is the template's affair. As in transformers' pipeline, a chat whose last message is the
assistant's is gone on with; any other gets the head of an answer. What cannot be made a prompt is
told as the reason, one a chat. Some templates ask for today's date (Llama's, from 3.1 on): they are
told the day that the caller says.
"""

import functools
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from jinja2 import TemplateError

from labelmill.errors import ConfigError
from labelmill.ops.json_values import MAX_DEPTH, lone_surrogate, too_deep

_CLOCK = "strftime_now"
_DIRECTIVES = (
    *(f"%-{one}" for one in "dmHIMSjy"),
    *(f"%{one}" for one in "aAbBcdDeFGHIjmMpRSTuUVwWxXyY"),
)
ASSISTANT, _SYSTEM = "assistant", "system"
Message = dict[str, Any]
# What a template runs into where messages are not as it thinks: missing keys, other types.
_MISFITS = (TemplateError, AttributeError, LookupError, TypeError, ValueError, ArithmeticError)


class BadChat(Exception):  # noqa: N818 - it is told of a row, and never leaves `ops`
    """Messages that no prompt can be made of; its text is the reason."""


def prompts(
    texts: Sequence[str], processor: Any, system: str | None, day: str | None = None
) -> tuple[list[str], dict[int, str]]:
    """[chats] the prompt of each, and why there is none (then it is ''), by number.

    `system` is put first where a chat has no system message; `day`, YYYY-MM-DD, is today's to the
    template. Raises ConfigError where the tokenizer has no chat template.
    """
    require_template(processor)
    made, errors = [], {}
    for number, text in enumerate(texts):
        try:
            made.append(_prompt(text, processor, system, day))
        except BadChat as error:
            made.append("")
            errors[number] = str(error)
    return made, errors


def require_template(processor: Any) -> None:
    """Raise ConfigError where the tokenizer has no chat template, or several and no usual one."""
    if not processor.chat_template:
        raise ConfigError(
            "the field 'messages' needs a model with a chat template, and this one has none; bind "
            "a column to 'text' instead, or choose a model made for chats"
        )
    try:
        processor.get_chat_template()
    except ValueError as error:
        raise ConfigError(f"the model's chat templates cannot be used: {error}") from error


def messages_of(text: str, system: str | None) -> list[Message]:
    """The messages of a chat, `system` put first where it has no such message; raises BadChat."""
    messages = _messages(text)
    if system is not None and messages[0]["role"] != _SYSTEM:
        return [{"role": _SYSTEM, "content": system}, *messages]
    return messages


def written(
    messages: Sequence[Message],
    processor: Any,
    day: str | None,
    *,
    prompt: bool = False,
    open_: bool = False,
) -> str:
    """What the template makes of the messages; raises BadChat where it refuses them.

    `prompt` adds the head of an answer; `open_` leaves out what ends the last message. Without a
    `day` the template is told the clock's.
    """
    try:
        made = processor.apply_chat_template(
            list(messages),
            tokenize=False,
            add_generation_prompt=prompt,
            continue_final_message=open_,
            chat_template=_template(processor, day),
        )
    except _MISFITS as error:
        raise BadChat(f"the model's chat template refuses the messages: {error}") from error
    return str(made)


def _prompt(text: str, processor: Any, system: str | None, day: str | None) -> str:
    messages = messages_of(text, system)
    going_on = messages[-1]["role"] == ASSISTANT
    return written(messages, processor, day, prompt=not going_on, open_=going_on)


def _template(processor: Any, day: str | None) -> str:
    template: str = processor.get_chat_template()
    if day is None or _CLOCK not in template:
        return template
    return _calendar(day) + template


@functools.cache
def _calendar(day: str) -> str:
    """A macro that goes before transformers' function of this name, which asks the clock.

    A function cannot be handed in: transformers makes text of what templates are given. The newline
    is taken away with the block, so that the template begins a line, as it did.
    """
    moment = datetime.fromisoformat(day)
    said = "".join(f".replace({name!r}, {moment.strftime(name)!r})" for name in _DIRECTIVES)
    return f"{{%- macro {_CLOCK}(form) -%}}{{{{ form{said} }}}}{{%- endmacro %}}\n"


def _messages(text: str) -> list[Message]:
    found = _parsed(text)
    if not isinstance(found, list) or not found:
        raise BadChat(f"the messages are {_kind(found)}, expected a list of at least one object")
    for number, message in enumerate(found):
        if not isinstance(message, dict):
            raise BadChat(f"message {number} is {_kind(message)}, expected an object")
        if not isinstance(message.get("role"), str):
            raise BadChat(f"message {number} has no 'role' that is a string")
        if "content" not in message and not message.get("tool_calls"):
            raise BadChat(f"message {number} has no 'content', and calls no tool")
    return found


def _parsed(text: str) -> Any:
    if too_deep(text):
        raise BadChat(f"the messages are nested deeper than {MAX_DEPTH} levels")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BadChat(f"the messages are no JSON: {error}") from error
    if lone_surrogate(text):
        raise BadChat("the messages hold half of a surrogate pair, which is no character")
    return found


def _kind(value: object) -> str:
    return f"an empty {type(value).__name__}" if value == [] else f"a {type(value).__name__}"
