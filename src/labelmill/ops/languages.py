"""Languages: how a translation model is told what to read and what to write.

    mBART, mBART-50, M2M100, NLLB   a token of the language, on each side
    Marian, many targets            the text begins with >>code<<
    T5                              a sentence before the text, by pair of languages
    other models                    one pair, nothing to choose

A tokenizer that reads several languages keeps which in `src_lang`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from labelmill.errors import ConfigError
from labelmill.ops.plugins import suggestion

Kind = Literal["tokens", "prefixes", "none"]

_CODE = re.compile(r"[a-z]{2,3}_[A-Za-z]{2,4}")  # of NLLB and mBART: eng_Latn, en_XX
_MARK = re.compile(r">>(.+)<<")  # of Marian
_PAIR = re.compile(r"translation_(.+)_to_(.+)")  # of T5's settings by task


@dataclass(frozen=True, slots=True, kw_only=True)
class Languages:
    """What a tokenizer knows of languages."""

    kind: Kind = "none"
    ids: Mapping[str, int] = field(default_factory=dict)  # token of each code, kind "tokens"
    codes: tuple[str, ...] = ()  # in order
    start: bool = False  # the language's token is the decoder's start, not its first token


def of(processor: Any) -> Languages:
    """The languages of a tokenizer of transformers."""
    ids = _ids(processor)
    if ids:
        # mBART's decoder starts with the language; its successors begin with </s> and are forced
        # to write it.
        start = type(processor).__name__.startswith("MBartTokenizer")
        return Languages(kind="tokens", ids=ids, codes=tuple(sorted(ids)), start=start)
    marks = map(_MARK.fullmatch, getattr(processor, "supported_language_codes", ()))
    codes = tuple(sorted(mark[1] for mark in marks if mark))
    return Languages(kind="prefixes", codes=codes) if codes else Languages()


def _ids(processor: Any) -> dict[str, int]:
    known = getattr(processor, "lang_code_to_id", None)
    if known:
        return {str(code): int(number) for code, number in known.items()}
    if not hasattr(processor, "src_lang"):
        return {}
    codes = [str(token) for token in processor.extra_special_tokens]
    codes = [code for code in codes if _CODE.fullmatch(code)]
    return dict(zip(codes, processor.convert_tokens_to_ids(codes), strict=True))


def read_in(processor: Any, languages: Languages, source: str | None) -> None:
    """Have the tokenizer mark texts as of the language; None: as the checkpoint says.

    Raises ConfigError for a code that it does not know, or where there is nothing to choose.
    """
    if source is None:
        return
    if languages.kind != "tokens":
        raise ConfigError(
            f"options.source_language: {source!r} cannot be chosen, this model reads one language "
            "or is not told which; leave it out"
        )
    _known(languages, source, "source_language")
    processor.src_lang = source


def write_in(
    languages: Languages, target: str | None, settings: Mapping[str, Any]
) -> dict[str, int]:
    """The setting of GenerationConfig that makes the model write the language.

    `settings` are the checkpoint's. Raises ConfigError for an unknown code, where there is nothing
    to choose, and where the model must be told and is not.
    """
    if target is None:
        if languages.kind == "tokens" and not _told(languages, settings):
            raise ConfigError(
                f"options.target_language: this model writes {len(languages.codes)} languages; say "
                f"which, e.g. {languages.codes[0]!r}"
            )
        return {}
    if languages.kind == "none":
        raise ConfigError(
            f"options.target_language: {target!r} cannot be chosen, this model writes one "
            "language or is told in options.prefix; leave it out"
        )
    _known(languages, target, "target_language")
    if languages.kind == "prefixes":
        return {}
    name = "decoder_start_token_id" if languages.start else "forced_bos_token_id"
    return {name: languages.ids[target]}


def mark(languages: Languages, target: str | None) -> str:
    """What a text begins with so that it is translated into the language; '' for most models."""
    return f">>{target}<< " if languages.kind == "prefixes" and target is not None else ""


def marked(languages: Languages, text: str) -> bool:
    """Whether the text itself says which language it is to be written in, where it must."""
    if languages.kind != "prefixes":
        return True
    head = text.partition("<<")[0]
    return head.startswith(">>") and head[2:] in languages.codes


def has_pairs(by_task: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a checkpoint's settings by task have sentences for pairs of languages, as T5's do.

    mBART's name a pair too, but say nothing of what stands before a text.
    """
    return bool(_pairs(by_task))


def pair_prefix(
    by_task: Mapping[str, Mapping[str, Any]], source: str | None, target: str | None
) -> str:
    """The sentence before a text that a T5 checkpoint has for the pair.

    Raises ConfigError where this is none of its pairs.
    """
    pairs = _pairs(by_task)
    if (source or "", target or "") in pairs:
        return pairs[source or "", target or ""]
    known = ", ".join(f"{one} to {other}" for one, other in sorted(pairs))
    raise ConfigError(
        f"options.source_language, options.target_language: {source!r} to {target!r} is no pair of "
        f"this model; its pairs are {known}; or set options.prefix"
    )


def _pairs(by_task: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """The sentence of each pair of languages that has one."""
    return {
        (found[1], found[2]): str(values["prefix"])
        for task, values in by_task.items()
        if (found := _PAIR.fullmatch(task)) and values.get("prefix")
    }


def _told(languages: Languages, settings: Mapping[str, Any]) -> bool:
    name = "decoder_start_token_id" if languages.start else "forced_bos_token_id"
    return settings.get(name) in languages.ids.values()


def _known(languages: Languages, code: str, option: str) -> None:
    if code not in languages.codes:
        near = suggestion(code, languages.codes) or f"; it has {', '.join(languages.codes[:8])} ..."
        raise ConfigError(f"options.{option}: this model has no language {code!r}{near}")
