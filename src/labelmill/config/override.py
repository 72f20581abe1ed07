"""Override: one `--set a.b=c` of the command line, laid over the job file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labelmill.config.document import parse_value
from labelmill.errors import ConfigError

PLACE = "--set"


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A setting by its path, and the value it is to have."""

    path: tuple[str, ...]
    value: object

    def touches(self, path: tuple[int | str, ...]) -> bool:
        """Whether the setting at `path` comes from this override, wholly or in part."""
        shared = min(len(self.path), len(path))
        return self.path[:shared] == path[:shared]


def parse_override(text: str) -> Override:
    """`a.b=c`, where c is YAML; raises ConfigError that names the text."""
    name, equals, value = text.partition("=")
    path = tuple(name.strip().split("."))
    if not equals or not all(path):
        raise ConfigError(
            f"{PLACE}: {text!r} is not a setting; expected such as model.revision=main"
        )
    return Override(path=path, value=parse_value(value, f"{PLACE}: {text!r}"))


def apply(settings: Mapping[str, object], overrides: Iterable[Override]) -> dict[str, object]:
    """A copy of the settings with the overrides laid over them, the last one winning."""
    result = dict(settings)
    for override in overrides:
        result = _laid(result, override.path, override)
    return result


def _laid(
    settings: Mapping[str, object], path: tuple[str, ...], override: Override
) -> dict[str, object]:
    head, *rest = path
    if not rest:
        return {**settings, head: override.value}
    inner = settings.get(head)
    if inner is None:
        inner = {}
    if not isinstance(inner, Mapping):
        name = ".".join(override.path[: -len(rest)])
        raise ConfigError(
            f"{PLACE}: {'.'.join(override.path)}: {name} is {inner!r}, which has no settings inside"
        )
    return {**settings, head: _laid(inner, tuple(rest), override)}
