"""Job files in the making, and the options of a task that exists in tests alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import Field, field_validator, model_validator

from labelmill.config.job import LabelJob
from labelmill.config.loading import load_job
from labelmill.config.section import Section
from labelmill.config.values import Texts
from labelmill.errors import ConfigError

MINIMAL = {
    "task": "guess",
    "model": {"path": "models/tiny"},
    "source": {"path": "data/"},
    "output": {"path": "labelled/"},
}


class GuessOptions(Section):
    """Options of a task that guesses; one of every kind that a task may want."""

    max_length: Annotated[int, Field(ge=1)] | None = Field(default=None, description="Tokens.")
    scores: Literal["best", "all"] | Annotated[int, Field(ge=1)] = Field(
        default="best", description="Which scores."
    )
    code: Annotated[str, Field(pattern="^[a-z]{2}$")] = Field(default="en", description="Language.")
    candidates: Texts = Field(default=("yes", "no"), description="Labels to guess from.")
    low: float = Field(default=0.0, description="Lower end.")
    high: float = Field(default=1.0, description="Upper end.")

    @field_validator("high")
    @classmethod
    def _not_thirteen(cls, value: float) -> float:
        if value == 13:
            raise ValueError("13 brings bad luck; take 12")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> "GuessOptions":
        if self.low > self.high:
            raise ValueError(f"low is {self.low}, above high, which is {self.high}; swap them")
        return self


def options_class(task: str) -> type[Section]:
    if task != "guess":
        raise ConfigError(f"no such task {task!r}; did you mean 'guess'?")
    return GuessOptions


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, section by section."""
    result = dict(base)
    for key, value in changes.items():
        inner = result.get(key)
        both = isinstance(inner, dict) and isinstance(value, dict)
        result[key] = merged(inner, value) if both and inner else value
    return result


def job(tmp_path: Path, changes: Mapping[str, Any] | None = None, *overrides: str) -> LabelJob:
    """The smallest job, changed."""
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(merged(MINIMAL, changes or {})), encoding="utf-8")
    return load_job(str(path), overrides, options_class=options_class)


def refusal(tmp_path: Path, data: str | bytes, *overrides: str) -> list[str]:
    """The lines that refuse the job file, without the directory it is in."""
    path = tmp_path / "job.yaml"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    with pytest.raises(ConfigError) as caught:
        load_job(str(path), overrides, options_class=options_class)
    return str(caught.value).replace(f"{tmp_path}/", "").splitlines()
