"""One line of JSON, read exactly: its object, or what is wrong with it.

Integers have any size; floats keep their source text within reach (`members`, `elements`). NaN,
Infinity and -Infinity are numbers, as Python writes them. Of a key that stands twice, the last
counts. Verdicts are short, name a column and never quote the line.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

MAX_DEPTH = 200  # levels of nesting: far from what overflows a stack, far above what data has
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_SPACE = re.compile(r"[ \t\r\n]*+")
_SURROGATE = re.compile(r"\\u[dD][89abAB]|\\u[dD][c-fC-F]")
_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}


class Infinite(float):
    """An infinity that is written as one, not a literal too large for a double."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """Why a line is no row."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The object that a line is, with its source."""

    value: dict[str, object]
    text: str


def _integer(digits: str) -> object:
    """An integer; a Decimal beyond the digits that Python converts (4,300 unless told)."""
    try:
        return int(digits)
    except ValueError:
        return Decimal(digits)


_CONSTANTS = {
    "NaN": float("nan"), "Infinity": Infinite("inf"), "-Infinity": Infinite("-inf"),
}  # fmt: skip
_FAST = json.JSONDecoder(parse_constant=_CONSTANTS.__getitem__)
_SAFE = json.JSONDecoder(parse_constant=_CONSTANTS.__getitem__, parse_int=_integer)


def decode(line: bytes) -> Document | BadLine:
    """The object of one line, given without its newline."""
    try:
        text = line.decode()
    except UnicodeDecodeError as err:
        return BadLine(reason=f"invalid UTF-8 at byte {err.start + 1}")
    if too_deep(text):
        return BadLine(reason=f"nested deeper than {MAX_DEPTH} levels")
    try:
        value = loads(text)
    except json.JSONDecodeError as err:
        return BadLine(reason=_syntax(text, err))
    if not isinstance(value, dict):
        return BadLine(reason=f"{kind(value)}, not an object")
    return Document(value=value, text=text)


def loads(text: str) -> object:
    """The value of `text`, which is not nested too deep; raises json.JSONDecodeError."""
    try:
        return _FAST.decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer of more digits than Python converts
        return _SAFE.decode(text)


def too_deep(text: str) -> bool:
    """Whether arrays and objects nest deeper than MAX_DEPTH; only JSON is told exactly.

    Decided before parsing, because how deep json goes before it raises depends on the caller's
    stack.
    """
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for token in _TOKEN.finditer(text):
        first = token[0][0]
        if first != '"':
            depth += 1 if first in "[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def kind(value: object) -> str:
    """What a value is, with its article."""
    return _KINDS.get(type(value), "a number")


def members(text: str) -> dict[str, str]:
    """The source of each member of a JSON object, exactly as it stands there."""
    at, found = _after(text, text.index("{") + 1), {}
    while text[at] != "}":
        name, at = _SAFE.raw_decode(text, at)
        begin = _after(text, _after(text, at) + 1)
        at = _SAFE.raw_decode(text, begin)[1]
        found[name] = text[begin:at]
        at = _past_comma(text, at)
    return found


def elements(text: str) -> Iterator[str]:
    """The source of each element of a JSON array."""
    at = _after(text, text.index("[") + 1)
    while text[at] != "]":
        begin, at = at, _SAFE.raw_decode(text, at)[1]
        yield text[begin:at]
        at = _past_comma(text, at)


def lone_surrogate(text: str) -> bool:
    """Whether JSON text holds an escape of half a character, which no UTF-8 can hold."""
    return bool(_SURROGATE.search(text)) and not encodable(
        json.dumps(loads(text), ensure_ascii=False, default=str)
    )


def encodable(text: str) -> bool:
    """Whether a string has no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _after(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _past_comma(text: str, at: int) -> int:
    at = _after(text, at)
    return _after(text, at + 1) if text[at] == "," else at


def _syntax(text: str, err: json.JSONDecodeError) -> str:
    column = err.pos + 1
    if err.msg != "Extra data":
        what = err.msg.strip(" :").removesuffix(" at")
        return f"not JSON: {what[:1].lower()}{what[1:]} at column {column}"
    try:
        _SAFE.raw_decode(text, err.pos)
    except json.JSONDecodeError:
        return f"not JSON: more text after the value at column {column}"
    return f"not one JSON value: another one at column {column}"
