"""Shards with every kind of bad input that we know, and what must become of each row of them.

A good row has a number, `id`, and a text; what is wrong elsewhere is told by its place and a
pattern of the reason.
"""

import json
from dataclasses import dataclass

Found = tuple[tuple[int, str], ...]  # where something is wrong, and a pattern of the reason


@dataclass(frozen=True, slots=True, kw_only=True)
class BadShard:
    """One file of the corpus."""

    name: str  # in the source, with folders
    data: bytes
    good: tuple[int, ...] = ()  # the rows that are labelled
    rejects: Found = ()
    breaks: Found = ()
    kept_only: bool = False  # seen only where the columns of the source are kept
    alone: bool = False  # its schema does not go with that of others

    def __str__(self) -> str:
        return self.name


def row(number: int, **more: object) -> bytes:
    """A good line without its end."""
    return json.dumps({"id": number, "text": f"the cat {number} sat"} | more).encode()


def rows(count: int, first: int = 0, **more: object) -> bytes:
    """Good lines."""
    return b"".join(row(number, **more) + b"\n" for number in range(first, first + count))


def lines(name: str, *given: int | bytes | tuple[bytes, str], end: bytes = b"\n") -> BadShard:
    """Good rows by number, other good or blank lines as they are, bad ones with the reason."""
    data, good, rejects = b"", list[int](), list[tuple[int, str]]()
    for line in given:
        if isinstance(line, tuple):
            rejects.append((len(data), line[1]))
        elif isinstance(line, int):
            good.append(line)
        elif line.strip(b" \t\r"):
            good.append(json.loads(line)["id"])
        data += _text(line) + end
    return BadShard(name=name, data=data, good=tuple(good), rejects=tuple(rejects))


def _text(line: int | bytes | tuple[bytes, str]) -> bytes:
    if isinstance(line, int):
        return row(line)
    return line if isinstance(line, bytes) else line[0]
