"""Source and output must not lie in each other: parts would become shards of the next attempt."""

from collections.abc import Sequence

from labelmill.errors import ConfigError
from labelmill.source.places import Place, find, reaches
from labelmill.storage import canonical, join


def refuse_overlap(paths: Sequence[str], output: str) -> None:
    """Raise ConfigError if the output lies inside a path of the source, or one inside the output.

    Symbolic links are followed. A glob may have the output below its root where it cannot match
    anything in it, as `data/*.jsonl` and `data/labelled`.
    """
    target = canonical(output)
    for given in paths:
        _refuse(find(given), target, output)


def _refuse(place: Place, target: str, output: str) -> None:
    root = canonical(place.root)
    source = canonical(join(place.root, place.rest)) if place.kind == "file" else root
    if _within(target, root) and reaches(place, _folders(target, root)):
        raise ConfigError(
            f"the output {output!r} lies inside the source {place.given!r}, so its parts would be "
            "read as shards; choose a directory outside"
        )
    if _within(source, target):
        raise ConfigError(
            f"the source {place.given!r} lies inside the output {output!r}, which may hold nothing "
            "but the run; choose another directory"
        )


def _within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(join(outer, "/").rstrip("/") + "/")


def _folders(inner: str, outer: str) -> tuple[str, ...]:
    rest = inner.removeprefix(outer).strip("/")
    return tuple(rest.split("/")) if rest else ()
