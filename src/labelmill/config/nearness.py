"""Near miss: which setting a user may have meant by one that does not exist."""

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher

from labelmill.config.wording import Schema, kinds, resolved

_ALIKE = 0.6  # share of letters in common, as in difflib.get_close_matches
_STEM = 4  # letters in a row in common, as in batchsize and microbatch_tokens


def near_miss(path: tuple[int | str, ...], root: Schema) -> str:
    """What to say of a setting at `path` that `root`, the JSON schema of a job, does not have."""
    section = root
    for key in path[:-1]:
        section = _section(section.get("properties", {}).get(key, {}), root)
    names = list(section.get("properties", {}))
    name = str(path[-1])
    elsewhere = [".".join(known) for known in _settings(root) if known[-1] == name]
    near = elsewhere or nearest(name, names)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"expected one of {', '.join(names)}" if names else "nothing can be set here"


def _section(schema: Schema, root: Schema) -> Schema:
    """The section that a schema says, also where null may stand for it."""
    found = (resolved(kind, root) for kind in kinds(schema))
    return next((kind for kind in found if "properties" in kind), {})


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """The names that `name` may stand for, the likeliest first."""
    matchers = ((SequenceMatcher(None, name.lower(), known), known) for known in names)
    alike = [(matcher.ratio(), known) for matcher, known in matchers if _is_alike(matcher)]
    return [known for _, known in sorted(alike, key=lambda pair: -pair[0])]


def _is_alike(matcher: "SequenceMatcher[str]") -> bool:
    return matcher.ratio() >= _ALIKE or matcher.find_longest_match().size >= _STEM


def _settings(root: Schema) -> Iterator[tuple[str, ...]]:
    for name, schema in root.get("properties", {}).items():
        yield (name,)
        yield from ((name, inner) for inner in resolved(schema, root).get("properties", {}))
