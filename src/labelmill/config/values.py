"""The kinds of values that several sections share."""

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, WithJsonSchema

WORDS = "x-words"  # key in a JSON schema: how docs and error messages call the value

Auto = Literal["auto"]
Text = Annotated[str, Field(min_length=1)]
# Not strict, so that a YAML list becomes a tuple; what is in it stays strict.
Texts = Annotated[tuple[Text, ...], Field(strict=False, min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
# What is read; the last two have to be named, as a picture's suffix does not tell its use.
SourceFormat = Literal[
    "auto",
    "parquet",
    "jsonl",
    "csv",
    "tsv",
    "arrow",
    "webdataset",
    "imagefolder",
    "audiofolder",
]


def _whole_size(value: object) -> object:
    # ByteSize reads "1.5.2" as 1 and "8MiB or so" as 8 MiB: it looks at the head of the text only.
    if isinstance(value, str) and not re.fullmatch(r"(\d*\.)?\d+\s*[a-zA-Z]*", value):
        raise ValueError(f"{value!r} is not a size; write a number of bytes, or such as '8MiB'")
    return value


def _whole_gpus(value: float) -> float:
    if value > 1 and not value.is_integer():
        raise ValueError(f"{value:g} is neither whole nor a part of one GPU; round it")
    return value


def _real_day(value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError as error:
        raise ValueError(f"{value!r} is no day; write it as 2026-01-31") from error


Day = Annotated[Text, AfterValidator(_real_day)]
Gpus = Annotated[float, Field(ge=0), AfterValidator(_whole_gpus)]
Size = Annotated[
    ByteSize,
    Field(ge=1),
    BeforeValidator(_whole_size),
    WithJsonSchema({"type": "integer", WORDS: "a number of bytes such as 8388608 or '8MiB'"}),
]
