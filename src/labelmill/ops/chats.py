"""Chats: lists of messages, as JSON text, to the prompt that a model's chat template makes of them.

A message is an object with "role" and "content"; what else it may hold is the template's affair. As
in transformers' pipeline, a chat whose last message is the assistant's is gone on with; any other
gets the head of an answer. What cannot be made a prompt is told as the reason, one a chat.
"""

import json
from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from labelmill.errors import ConfigError

_ASSISTANT, _SYSTEM = "assistant", "system"
# What a template runs into where messages are not as it thinks: missing keys, other types.
_MISFITS = (TemplateError, AttributeError, KeyError, IndexError, TypeError, ValueError)


class _BadChat(Exception):  # noqa: N818 - never leaves this module
    """Messages that no prompt can be made of; its text is the reason."""


def prompts(
    texts: Sequence[str], processor: Any, system: str | None
) -> tuple[list[str], dict[int, str]]:
    """[chats] the prompt of each, and why there is none (then it is ''), by number.

    `system` is put first where a chat has no system message. Raises ConfigError where the tokenizer
    has no chat template.
    """
    if not processor.chat_template:
        raise ConfigError(
            "source.columns: 'messages' needs a model with a chat template, and this one has none; "
            "bind 'text' instead, or choose a model made for chats"
        )
    made, errors = [], {}
    for number, text in enumerate(texts):
        try:
            made.append(_prompt(text, processor, system))
        except _BadChat as error:
            made.append("")
            errors[number] = str(error)
    return made, errors


def _prompt(text: str, processor: Any, system: str | None) -> str:
    messages = _messages(text)
    if system is not None and messages[0]["role"] != _SYSTEM:
        messages = [{"role": _SYSTEM, "content": system}, *messages]
    going_on = messages[-1]["role"] == _ASSISTANT
    try:
        made = processor.apply_chat_template(
            messages,
            tokenize=False,
            add_generation_prompt=not going_on,
            continue_final_message=going_on,
        )
    except _MISFITS as error:
        raise _BadChat(f"the model's chat template refuses the messages: {error}") from error
    return str(made)


def _messages(text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _BadChat(f"the messages are no JSON: {error}") from error
    if not isinstance(found, list) or not found:
        raise _BadChat(f"the messages are {_kind(found)}, expected a list of at least one object")
    for number, message in enumerate(found):
        if not isinstance(message, dict):
            raise _BadChat(f"message {number} is {_kind(message)}, expected an object")
        if not isinstance(message.get("role"), str):
            raise _BadChat(f"message {number} has no 'role' that is a string")
        if "content" not in message:
            raise _BadChat(f"message {number} has no 'content'")
    return found


def _kind(value: object) -> str:
    return f"an empty {type(value).__name__}" if value == [] else f"a {type(value).__name__}"
