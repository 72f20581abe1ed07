"""What Arrow's parser is told to look for, where it can find all that is wanted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

import pyarrow as pa
import pyarrow.types as pt

from labelmill.ops.json_types import children, holds_json_text, is_extra, is_plain, keeps_all

_Tree = dict[str, Optional["_Tree"]]  # objects by name; None where a string is wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkSchema:
    """A schema for the kept columns and the task's fields, and where the fields are in it."""

    schema: pa.Schema
    # Task field -> names from the outermost struct inwards; one that is not here is null.
    paths: Mapping[str, list[str]]
    suspects: tuple[str, ...]  # keys with dots in them that would go before such a way
    closed: bool  # a field outside the schema matters

    @classmethod
    def of(
        cls, fields: Mapping[str, str], kept: pa.Schema, optional: frozenset[str] = frozenset()
    ) -> Optional["BulkSchema"]:
        """None where only reading line by line gives what is wanted."""
        typed = {item.name: item for item in kept if not is_extra(item)}
        closed, paths = keeps_all(kept), {name: path.split(".") for name, path in fields.items()}
        suspects = tuple(sorted({key for path in paths.values() for key in _dotted(path)}))
        if closed:  # no key outside the schema comes through, so that such a field is not there
            absent = {name for name in optional & paths.keys() if paths[name][0] not in typed}
            paths = {name: path for name, path in paths.items() if name not in absent}
        # Of other types Arrow's parser would read a text as a timestamp; see `json_fitting`.
        if any(holds_json_text(item) or not is_plain(item.type) for item in typed.values()):
            return None
        # Unknown members of a kept object must not be lost, and the parser reports all or none.
        if not closed and any(map(_holds_struct, (item.type for item in typed.values()))):
            return None
        tree = _tree([path for path in paths.values() if path[0] not in typed])
        if tree is None or (closed and tree):
            return None
        if not all(_is_string(typed, path) for path in paths.values() if path[0] in typed):
            return None
        if not typed.keys().isdisjoint(suspects):
            return None
        schema = pa.schema([*typed.values(), *_fields(tree)])
        return cls(schema=schema, paths=paths, suspects=suspects, closed=closed)


def _holds_struct(kind: pa.DataType) -> bool:
    return bool(pt.is_struct(kind)) or any(_holds_struct(child.type) for child in children(kind))


def _tree(paths: list[list[str]]) -> _Tree | None:
    """All paths in one; None where one wants a string that another wants to look into."""
    root: _Tree = {}
    for *way, leaf in paths:
        node: _Tree | None = root
        for name in way:
            node = None if node is None else node.setdefault(name, {})
        if node is None or node.setdefault(leaf, None) is not None:
            return None
    return root


def _fields(tree: _Tree) -> list[pa.Field]:
    return [
        pa.field(name, pa.string() if inner is None else pa.struct(_fields(inner)))
        for name, inner in tree.items()
    ]


def _is_string(typed: Mapping[str, pa.Field], path: list[str]) -> bool:
    kind = typed[path[0]].type
    for name in path[1:]:
        index = kind.get_field_index(name) if pt.is_struct(kind) else -1
        if index < 0:
            return False
        kind = kind.field(index).type
    return bool(pt.is_string(kind))


def _dotted(path: list[str]) -> list[str]:
    return [".".join(path[at:]) for at in range(len(path) - 1)]
