"""Corpus: the rows of a training job as they are read, and which of them are kept back.

Files are found, cut and checked by the same formats as when labelling, so that a row that could not
be labelled is not learned from. Nothing of a corpus is held in memory: it is read piece by piece,
as often as it is asked for, always in the same order.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from labelmill.errors import InputError, LabelmillError
from labelmill.formats import Format, ReadRequest
from labelmill.ops import class_labels, plugins
from labelmill.ops.class_labels import Names
from labelmill.ops.fields import TYPES, flat
from labelmill.plan.columns import bind
from labelmill.plan.survey import Survey, Use, survey
from labelmill.source import list_shards
from labelmill.splits import CutRule, Rows, Shard
from labelmill.stages.media import fetched, located
from labelmill.storage import split_url
from labelmill.tasks import Fields, Trainable

Shards = tuple[Shard, ...]
TEXT = TYPES["text"]  # of every field that is no media
_RULE = CutRule(split_rows=2000, split_bytes=16 << 20)  # of a piece
_SOURCE = re.compile(r"source(?=[. ])")
_QUOTED = re.compile(r"""(?<!\w)('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")  # as repr writes it
# Decoded, a picture of 224 x 224 pixels is 0.6 MB, and ten seconds of sound as much.
_MEDIA_RULE = CutRule(split_rows=64, split_bytes=16 << 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Where the rows are, and what is read of them."""

    shards: tuple[Shard, ...]
    request: ReadRequest
    fields: frozenset[str]  # of the task
    targets: frozenset[str]
    names: Names = field(default_factory=dict)  # of numbers, in targets that are class labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some rows of one shard, one after another."""

    shard: str
    rows: Rows
    fields: Fields  # of the good rows
    targets: Fields
    root: str = ""  # paths of media begin with it, as long as they have not been followed

    @property
    def places(self) -> npt.NDArray[np.int64]:
        """[good rows] which of `rows` they are."""
        return np.flatnonzero(self.rows.good.to_numpy())


def find(files: Callable[[], Shards], columns: Mapping[str, str], task: Trainable) -> Corpus:
    """The corpus in the files; raises ConfigError for columns that are not there.

    Raises InputError where nothing is there, or no file can be read.
    """
    notations = (*task.fields, *task.targets)
    try:
        shards = files()
        texts = [one.name for one in flat(notations) if one.kind == "text"]
        names = frozenset(columns.get(name, name) for name in texts)
        found = survey(shards, Use(texts=names, kept=frozenset()))
        bound = bind(notations, columns, found.schema, sampled=not found.whole)
    except LabelmillError as error:
        raise type(error)(_of_data(str(error))) from error
    for shard, reason in found.unreadable.items():
        raise InputError(
            f"{shard!r} cannot be opened: {reason}; mend it, or take it out of the data"
        )
    targets = frozenset(one.name for one in flat(task.targets)) & bound.columns.keys()
    return Corpus(
        shards=shards,
        request=ReadRequest(
            rule=_MEDIA_RULE if task.work == "media" else _RULE,
            fields=bound.columns,
            optional=bound.optional,
            kinds=bound.kinds,
        ),
        fields=frozenset(one.name for one in flat(task.fields)) & bound.columns.keys(),
        targets=targets,
        names=_names(found, {name: bound.columns[name] for name in targets}),
    )


def _of_data(message: str) -> str:
    """What was said of `source`, said of `data`; names in quotes stay as they are."""
    said = _QUOTED.split(message)  # every other one is in quotes
    said[::2] = [_SOURCE.sub("data", words) for words in said[::2]]
    return "".join(said)


def at(paths: Sequence[str], format_: str) -> Shards:
    """The files at the paths of a job; raises InputError where there are none."""
    return list_shards(paths, format_).shards


def _names(found: Survey, targets: Mapping[str, str]) -> Names:
    """By target, of those whose column is one of class labels."""
    for column in targets.values():
        if column in found.torn:
            raise InputError(
                f"column {column!r} has other names for its numbers in one file than in another, "
                "expected the same ClassLabel in all; mend them, or learn from a column of texts"
            )
    return {name: found.names[column] for name, column in targets.items() if column in found.names}


def read(corpus: Corpus) -> Iterator[Piece]:
    """Every piece, in order, media columns as references; raises InputError for damage."""
    for shard in corpus.shards:
        module: Format = plugins.load("labelmill.formats", shard.format)
        for piece in module.read(shard, corpus.request):
            if piece.breaks:
                broken = piece.breaks[0]
                raise InputError(
                    f"{shard.url!r} is damaged at {broken.start}: {broken.reason}; mend it, or "
                    "take it out of the data"
                )
            rows = _named(_alike(piece.rows, corpus), corpus)
            rows = located(rows, corpus.request.kinds, shard.url)
            yield replace(piece_of(shard.path, rows, corpus), root=split_url(shard.url)[0])


def _alike(rows: Rows, corpus: Corpus) -> Rows:
    """With texts of one type: CSV reads string where JSON Lines read large_string."""
    kinds = corpus.request.kinds
    texts = {
        name: column.cast(TEXT)
        for name, column in rows.fields.items()
        if kinds.get(name, "text") != "media"
    }
    return replace(rows, fields={**rows.fields, **texts})


def _named(rows: Rows, corpus: Corpus) -> Rows:
    """With the names of class labels; a row with a number that has none is bad."""
    for target, names in corpus.names.items():
        column = class_labels.named(rows.fields[target], names)
        lost = pc.and_(rows.good, pc.and_(rows.fields[target].is_valid(), column.is_null()))
        reason = f"{target} is a number that has no name in its ClassLabel of {len(names)}"
        rows = replace(
            rows,
            fields={**rows.fields, target: column},
            error=pc.if_else(lost, reason, rows.error),
        )
    return rows


def with_media(piece: Piece, corpus: Corpus) -> Piece:
    """The same piece with what media columns refer to; rows without it are bad."""
    if not corpus.request.has_media:
        return piece
    return piece_of(piece.shard, fetched(piece.rows, corpus.request.kinds), corpus)


def require_good(good: int, rows: int, reason: str) -> None:
    """Raise InputError where no row is good; `reason` is what is wrong with the first."""
    if not good:
        raise InputError(
            f"none of {rows:,} rows can be learned from; the first: {reason}; mend the data, or "
            "see that data.columns names the right columns"
        )


def digest(corpus: Corpus) -> str:
    """SHA-256 in hex of what the files are: names, sizes and versions."""
    lines = (f"{one.path} {one.size} {one.version}\n" for one in corpus.shards)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def kept_back(piece: Piece, fraction: float, seed: int) -> npt.NDArray[np.bool_]:
    """[rows] whether a row is measured by and not learned from: equal rows have equal fates."""
    rows = len(piece.rows)
    if fraction == 0:
        return np.zeros(rows, np.bool_)
    columns = [piece.rows.fields[name].to_pylist() for name in sorted(piece.rows.fields)]
    key = f"labelmill {seed}".encode()
    content = partial(_content, piece.root)
    drawn = [_drawn(map(content, values), key) for values in zip(*columns, strict=True)]
    return np.array(drawn, np.float64) < fraction


def _content(root: str, value: object) -> object:
    """Of media the bytes, else where they lie from the data on; both move with the data."""
    if not isinstance(value, dict):
        return value
    contents, path = value["bytes"], value["path"]
    return path.removeprefix(root) if contents is None and path is not None else contents


def _drawn(values: Iterable[object], key: bytes) -> float:
    """A number in [0, 1) for a row, by what is in it."""
    state = hashlib.blake2b(key=key, digest_size=8)
    for value in values:
        state.update(b"\x00" if value is None else b"\x01")
        text = value if isinstance(value, str | bytes) else repr(value)
        state.update(text if isinstance(text, bytes) else text.encode())
    return int.from_bytes(state.digest(), "big") / 2.0**64


def piece_of(shard: str, rows: Rows, corpus: Corpus) -> Piece:
    """The rows of a shard as a piece of the corpus."""
    good = rows.good

    def chosen(names: frozenset[str]) -> dict[str, pa.ChunkedArray]:
        return {name: rows.fields[name].filter(good) for name in sorted(names)}

    return Piece(
        shard=shard, rows=rows, fields=chosen(corpus.fields), targets=chosen(corpus.targets)
    )
