"""Prefixes: the beginning of a long text, where its first tokens are provably those of the text.

A tokenizer works on all of a text before it truncates: megabytes cost gigabytes and minutes. Most
tokenizers split at a space, whatever stands around it, before they look for tokens; cut there, the
beginning has the text's own tokens, and only as much of it is taken as gives enough of them.
A tokenizer whose parts are not all known to be so gets whole texts; so does a text without a place
to cut.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Text = str | tuple[str, str]

LONG = 12  # characters a wanted token; a shorter text is cheaper to tokenize than to cut
_FIRST = 6  # characters a wanted token to begin with; real text has 3 to 5

# Where to cut: before these characters, after those in the lookbehind. No whitespace before a
# space: whitespace is split in ways that look ahead. ASCII before it: no normalizer joins the two,
# removes the first, or makes whitespace of it.
_SPACE = "(?<=[!-~]) "
_LINE = r"(?<=[!-~\w\u3001-\u303f\uff01-\uff60])[ \n]"
_MARKS = r",./+=:;!?\u3001\u3002\uff01\uff0c\uff1f"
_IDEOGRAPHS = r"\u4e00-\u9fff"
_AFTER_LETTER = rf"(?<=[A-Za-z{_IDEOGRAPHS}])[{_MARKS}]"

_ASCII_MARKS = r"!-/:-@\[-`{-~"
# No control character after it, which might go and join it with what comes; else up to a space.
_MARKS_ALONE = re.compile(rf" ?[A-Za-z0-9]++(?![^ -~\n])|[{_ASCII_MARKS}](?![^ -~\n])|[^ ]+")
# Letters, after which there is a cut; other characters, to a cut before a space or through letters.
_TO_LETTERS = re.compile(r"(?s) ?[A-Za-z]++|[^A-Za-z]*?[!-~](?= [!-~])|[^A-Za-z]*+[A-Za-z]++|.+")

# Normalizers of single characters, or of one with the combining marks after it.
_OF_CHARACTERS = {"Lowercase", "NFC", "NFD", "StripAccents"}
_NORMALIZERS = {*_OF_CHARACTERS, "BertNormalizer", "NFKC", "NFKD", "Strip", "Precompiled"}
_SQUEEZES = {" {2,}", r"[\n\r\t]", r"\s{2,}|[\n\r\t]"}  # whitespace alone, replaced by a space

_WHITESPACE = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
_SPACES_ALONE = {"WhitespaceSplit", "Metaspace"}  # split nowhere else
_LETTERS, _VISIBLE = re.compile(" [A-Za-z]+"), re.compile(" [!-~]+")
_LOCAL = {"Digits", "Punctuation"}  # split at single characters and change none
# A run of whitespace is one piece, or gives its last space to the word after it.
_WORDS = re.compile(
    r"\(\?i:'s\|'t\|'re\|'ve\|'m\|'ll\|'d\)\|\[\^\\r\\n\\p\{L\}\\p\{N\}\]\?\\p\{L\}\+"
    r"\|\\p\{N\}(\{1,3\})?\| \?\[\^\\s\\p\{L\}\\p\{N\}\]\+\[\\r\\n\]\*"
    r"\|\\s\*\[\\r\\n\]\+\|\\s\+\(\?!\\S\)\|\\s\+"
)


class Prefixes:
    """Beginnings of texts for one `tokenizers.Tokenizer` that will truncate on the right."""

    def __init__(
        self, backend: Any, tokens: int, count: Callable[[str], int] | None = None
    ) -> None:
        """`tokens`: how many are kept of a text at most. `backend` must not truncate yet.

        `count` counts the tokens of a text, if there is a faster way than the backend's.
        """
        self._backend = backend
        self._count = count or self._counted
        self._tokens = tokens
        self._rule = rule(backend)

    def of(self, text: Text) -> Text:
        """A text or pair that gives the same tokens, truncated longest first; itself if in doubt.

        Of two long texts that with more tokens stays so, as it keeps the odd one. They are cut
        because the backend makes every piece of one with every piece of the other.
        """
        if self._rule is None:
            return text
        if isinstance(text, str):
            return self._shorten(text, self._tokens, self._rule) if self._long(text) else text
        first, second = text
        if not (self._long(first) or self._long(second)):
            return text
        if self._long(first) and self._long(second):
            return self._both(first, second, self._rule)
        if self._long(first):
            return self._shorten(first, max(self._tokens, self._count(second)), self._rule), second
        return first, self._shorten(second, max(self._tokens, self._count(first)), self._rule)

    def _both(self, first: str, second: str, place: re.Pattern[str]) -> Text:
        """The two with as many tokens as may matter, and the one with more of them still so."""
        if self._count(first) > self._count(second):
            second = self._shorten(second, self._tokens, place)
            return self._shorten(first, max(self._tokens, self._count(second)), place), second
        first = self._shorten(first, self._tokens, place)
        return first, self._shorten(second, max(self._tokens, self._count(first)), place)

    def _long(self, text: str) -> bool:
        return len(text) > LONG * self._tokens

    def _shorten(self, text: str, tokens: int, place: re.Pattern[str]) -> str:
        """The text as far as it takes to have more than so many tokens."""
        size = _FIRST * tokens
        while (cut := place.search(text, size)) is not None and 2 * cut.start() < len(text):
            head = text[: cut.start()]
            if self._count(head) > tokens:
                return head
            size = 2 * cut.start()
        return text

    def _counted(self, text: str) -> int:
        (encoding,) = self._backend.encode_batch_fast([text], add_special_tokens=False)
        return len(encoding.ids)


def rule(backend: Any) -> re.Pattern[str] | None:
    """Before which character a text may be cut; None where that cannot be told."""
    normalizers = list(_members(backend.normalizer, "normalizers"))
    splitter = _first_splitter(_members(backend.pre_tokenizer, "pretokenizers"))
    if splitter is None or not all(map(_is_safe, normalizers)):
        return None
    place = _place(splitter, normalizers)
    tokens = backend.get_added_tokens_decoder().values()
    return place if all(_stays_apart(token, place) for token in tokens) else None


def keeps_leading_spaces(backend: Any) -> bool:
    """Whether the space before a word reaches the splitter."""
    normalizers = _members(backend.normalizer, "normalizers")
    return not any(part["type"] == "Strip" and part["strip_left"] for part in normalizers)


def word_rule(backend: Any) -> re.Pattern[str]:
    """What is one word to the splitters with the space before it, `rule` given."""
    parts = _members(backend.pre_tokenizer, "pretokenizers")
    return _VISIBLE if {part["type"] for part in parts} <= _SPACES_ALONE else _LETTERS


def inner_rule(backend: Any) -> re.Pattern[str] | None:
    """What finds the pieces of an ASCII text without added tokens, `rule` given; None: none.

    BERT takes every punctuation mark alone, and minds no space. Byte-level patterns always stop
    after a letter where none follows; what begins there is no beginning of a text to them.
    """
    parts = list(_members(backend.pre_tokenizer, "pretokenizers"))
    kinds = {part["type"] for part in _members(backend.normalizer, "normalizers")}
    if not parts or any(part.get("add_prefix_space") for part in parts):
        return None
    if parts[0]["type"] == "BertPreTokenizer" and kinds <= {*_OF_CHARACTERS, "BertNormalizer"}:
        return _MARKS_ALONE
    if parts[0]["type"] in {"ByteLevel", "Split"} and kinds <= _OF_CHARACTERS:
        return _TO_LETTERS
    return None


def _place(splitter: dict[str, Any], normalizers: list[dict[str, Any]]) -> re.Pattern[str]:
    """Everywhere the splitter splits whatever stands around, as far as normalizers leave it so."""
    kind, kinds = splitter["type"], {part["type"] for part in normalizers}
    if kind == "BertPreTokenizer" and kinds <= {*_OF_CHARACTERS, "BertNormalizer"}:
        spaced = any(part.get("handle_chinese_chars") for part in normalizers)
        return re.compile(rf"(?s)(?<=.)[ \n{_MARKS}{_IDEOGRAPHS if spaced else ''}]")
    if kind in {"ByteLevel", "Split"} and kinds <= _OF_CHARACTERS:
        return re.compile(f"{_LINE if kind == 'ByteLevel' else _SPACE}|{_AFTER_LETTER}")
    return re.compile(_SPACE)


def _members(part: Any, inner: str) -> Iterator[dict[str, Any]]:
    """The settings of a component, or of all those in a sequence."""
    if part is not None:
        yield from _flat(json.loads(part.__getstate__()), inner)


def _flat(settings: dict[str, Any], inner: str) -> Iterator[dict[str, Any]]:
    if settings["type"] != "Sequence":
        yield settings
        return
    for member in settings[inner]:
        yield from _flat(member, inner)


def _is_safe(normalizer: dict[str, Any]) -> bool:
    if normalizer["type"] != "Replace":
        return normalizer["type"] in _NORMALIZERS
    pattern, content = normalizer["pattern"], normalizer["content"]
    if "Regex" in pattern:
        return pattern["Regex"] in _SQUEEZES and content == " "
    return bool(re.fullmatch("[!-~]+", pattern["String"]) and re.fullmatch("[!-~]+", content))


def _first_splitter(parts: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The first part that splits at every space; later parts see its pieces one by one."""
    for part in parts:
        if _splits_at_spaces(part):
            return part
        if part["type"] not in _LOCAL:
            return None
    return None


def _splits_at_spaces(part: dict[str, Any]) -> bool:
    if part["type"] == "ByteLevel":
        return bool(part["use_regex"])
    if part["type"] == "Metaspace":
        return bool(part["split"])
    if part["type"] == "Split":
        known = _WORDS.fullmatch(part["pattern"].get("Regex", ""))
        return bool(known) and part["behavior"] == "Isolated" and not part["invert"]
    return part["type"] in _WHITESPACE


def _stays_apart(token: Any, place: re.Pattern[str]) -> bool:
    """Whether an added token never stands on both sides of a cut, nor minds what is beyond it."""
    if token.single_word or (token.normalized and not token.content.isascii()):
        return False
    return place.search(token.content) is None
