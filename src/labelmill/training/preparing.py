"""Preparing: rows become examples, before any worker is started.

Twice through the data: once to see what the labels are and which rows are bad, once to encode. What
is wrong with a row is told with its place; where too many are wrong, nothing is trained.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from labelmill.batch import ModelFacts
from labelmill.config.data import DataSection
from labelmill.config.section import Section
from labelmill.errors import InputError, RowRefused, UnfinishedRun
from labelmill.learning import Head
from labelmill.tasks import Trainable
from labelmill.tasks import gold as right
from labelmill.training import corpus, examples
from labelmill.training.corpus import Corpus, Piece
from labelmill.training.gold import GoldWriter
from labelmill.training.manifest import Data

Say = Callable[[str], None]
Wished = Callable[[], bool]  # whether to stop
_SHOWN = 3  # rejects that a message names
_NOTHING = "there is no row to learn from; see data.train (or data.dataset.train) and data.columns"


def never() -> bool:
    """The wish of nobody."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """The task, and all that it is asked with."""

    task: Trainable
    options: Section
    facts: ModelFacts
    processor: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where what is prepared lies."""

    train: Path
    validation: Path
    rejects: Path
    gold: Path | None = None  # rows to measure by as they are; None: not wanted


@dataclass(slots=True)
class _Tally:
    rows: int = 0
    tokens: int = 0
    rejects: list[dict[str, Any]] = field(default_factory=list)
    # Of the rows learned from; None where nothing is counted, as texts to write are not gathered.
    targets: dict[str, list[pa.Array]] | None = None

    def learn(self, piece: Piece, errors: Mapping[int, str]) -> None:
        if self.targets is None:
            return
        good = _good(piece, errors)
        for name, column in piece.targets.items():
            self.targets.setdefault(name, []).extend(column.filter(good).chunks)

    def reject(self, piece: Piece, row: int, reason: str) -> None:
        position = piece.rows.position[row].as_py()
        self.rejects.append({"shard": piece.shard, "position": position, "reason": reason})


class Preparation:
    """The data of one job on their way to files of examples."""

    def __init__(
        self, section: DataSection, seed: int, train: Corpus, validation: Corpus | None
    ) -> None:
        self._section = section
        self._seed = seed
        self._train = train
        self._validation = validation

    @property
    def digests(self) -> dict[str, str]:
        """What the files are."""
        found = {"data.train": corpus.digest(self._train)}
        if self._validation is not None:
            found["data.validation"] = corpus.digest(self._validation)
        return found

    @property
    def files(self) -> int:
        """How many files there are."""
        return len(self._train.shards) + len(self._validation.shards if self._validation else ())

    def head(self, learning: Learning, wished: Wished = never) -> Head | None:
        """What the model is to give; one time through the rows where the task finds it there.

        Raises UnfinishedRun once it is `wished`.
        """
        whole = self._targets(wished) if learning.task.finds_head else {}
        return learning.task.head(whole, self._named(learning.facts), learning.options)

    def _targets(self, wished: Wished) -> dict[str, pa.ChunkedArray]:
        """Of all rows to learn from, good ones; raises InputError where there is none at all."""
        rows, good, reason = 0, 0, ""  # that of the first bad row
        chunks: dict[str, list[pa.Array]] = {name: [] for name in sorted(self._train.targets)}
        for piece in _until(wished, corpus.read(self._train)):
            rows += len(piece.rows)
            good += len(piece.places)
            reason = reason or next(iter(piece.rows.error.drop_null().to_pylist()), "")
            mine = pa.array(~self._kept_back(piece)[piece.places])
            for name, column in piece.targets.items():
                chunks[name] += column.filter(mine).chunks
        if not rows:
            raise InputError(_NOTHING)
        corpus.require_good(good, rows, reason)
        return _whole(chunks)

    def _named(self, facts: ModelFacts) -> ModelFacts:
        """Class labels are the model's labels, in their order, unless it has them all already."""
        for names in self._train.names.values():
            if names and not set(names) <= set(facts.labels):
                return replace(facts, labels=names)
        return facts

    def write(
        self,
        learning: Learning,
        head: Head | None,
        places: Places,
        say: Say,
        wished: Wished = never,
    ) -> Data:
        """Encode every row and write the files.

        Raises InputError where too many are bad, UnfinishedRun once it is `wished`.
        """
        learning = headed(learning, head)
        tally = _Tally(targets={} if learning.task.finds_head else None)
        kept = _Tally()
        tables = self._tables(self._train, learning, tally, wished, back=False)
        train = examples.write(places.train, tables)
        validation = self._write_validation(learning, places, kept, wished)
        rejects = [*tally.rejects, *kept.rejects]
        rows = tally.rows + kept.rows
        _write_lines(places.rejects, rejects)
        self._judge(rejects, rows + len(rejects), say)
        self._refuse_none(train, validation)
        return Data(
            rows=rows,
            rejected=len(rejects),
            train_rows=tally.rows,
            train=train,
            validation=validation,
            labels=head.labels if head else (),
            problem_type=head.problem_type if head else None,
            counts=_counts(learning, tally) if head else {},
            tokens=tally.tokens,
            digests=self.digests,
        )

    def _write_validation(
        self, learning: Learning, places: Places, tally: _Tally, wished: Wished
    ) -> int:
        """The examples to measure by, and where it is wanted their rows as they are."""
        back = self._validation is None
        if back and self._section.validation_fraction == 0:
            return 0
        source = self._validation or self._train
        with ExitStack() as stack:
            gold = None if places.gold is None else stack.enter_context(GoldWriter(places.gold))
            tables = self._tables(source, learning, tally, wished, back=back, gold=gold)
            return examples.write(places.validation, tables)

    def _kept_back(self, piece: Piece) -> "np.typing.NDArray[np.bool_]":
        fraction = 0.0 if self._validation is not None else self._section.validation_fraction
        return corpus.kept_back(piece, fraction, self._seed)

    def _tables(
        self,
        source: Corpus,
        learning: Learning,
        tally: _Tally,
        wished: Wished,
        *,
        back: bool,
        gold: GoldWriter | None = None,
    ) -> Iterator[pa.Table]:
        """The examples of the rows that are kept back, or of those that are not."""
        for piece in _until(wished, corpus.read(source)):
            chosen = self._kept_back(piece) if source is self._train else None
            wanted = np.ones(len(piece.rows), np.bool_) if chosen is None else chosen == back
            mine = corpus.with_media(_only(piece, wanted, source), source)
            for row, reason in enumerate(mine.rows.error.to_pylist()):
                if reason:
                    tally.reject(mine, row, reason)
            learned = learning.task.learn(
                mine.fields, mine.targets, learning.processor, learning.facts, learning.options
            )
            for row, reason in sorted(learned.encoded.errors.items()):
                tally.reject(mine, int(mine.places[row]), reason)
            if gold is not None:
                _add(gold, learning.task, mine, learned.encoded.errors)
            tally.learn(mine, learned.encoded.errors)
            made = examples.table(learned)
            tally.rows += len(mine.places) - len(learned.encoded.errors)
            tally.tokens += int(made[examples.LENGTH].to_numpy().sum()) // learned.encoded.unit
            yield made

    def _judge(self, rejects: list[dict[str, Any]], rows: int, say: Say) -> None:
        if not rejects:
            return
        first = "; ".join(
            f"{one['shard']} at {one['position']}: {one['reason']}" for one in rejects[:_SHOWN]
        )
        told = f"{len(rejects):,} of {rows:,} rows cannot be learned from: {first}"
        if self._section.on_bad_row == "fail":
            raise RowRefused(f"{told}; mend them, or set data.on_bad_row to 'reject'")
        if len(rejects) > self._section.max_rejected * rows:
            raise InputError(
                f"{told}; data.max_rejected allows {self._section.max_rejected:.2%}; mend the "
                "rows or data.columns, or raise it"
            )
        say(told)

    def _refuse_none(self, train: int, validation: int) -> None:
        """Raise InputError without an example to learn from, or to measure by where wanted."""
        if not train:
            raise InputError(_NOTHING)
        if self._validation is not None and not validation:
            named = "data.validation" if self._section.validation else "data.dataset.validation"
            raise InputError(
                f"{named}: there is no row to measure by; name others, or remove it to keep some "
                "of the rows to learn from back"
            )


def _counts(learning: Learning, tally: _Tally) -> dict[str, int]:
    """Of labels, over the rows that were learned from: a label may stand in bad rows as well."""
    if not tally.targets:
        return {}
    found = learning.task.head(_whole(tally.targets), learning.facts, learning.options)
    return dict(found.counts) if found else {}


def _whole(chunks: Mapping[str, list[pa.Array]]) -> dict[str, pa.ChunkedArray]:
    return {name: pa.chunked_array(found, corpus.TEXT) for name, found in chunks.items()}


def _good(piece: Piece, errors: Mapping[int, str]) -> pa.Array:
    return pa.array([row not in errors for row in range(len(piece.places))], pa.bool_())


def _until(wished: Wished, pieces: Iterable[Piece]) -> Iterator[Piece]:
    for piece in pieces:
        if wished():
            raise UnfinishedRun(
                "stopped while the data were read; the same command reads them from the beginning"
            )
        yield piece


def headed(learning: Learning, head: Head | None) -> Learning:
    """With the labels and the problem type that the model will have."""
    if head is None:
        return learning
    facts = replace(learning.facts, labels=head.labels, problem_type=head.problem_type)
    return replace(learning, facts=facts)


def _only(piece: Piece, wanted: "np.typing.NDArray[np.bool_]", source: Corpus) -> Piece:
    """The piece with the unwanted rows taken for bad, for a reason that says nothing."""
    errors = [
        error if mine else ""
        for error, mine in zip(piece.rows.error.to_pylist(), wanted, strict=True)
    ]
    rows = piece.rows.with_error(pa.chunked_array([pa.array(errors, pa.string())]))
    return corpus.piece_of(piece.shard, rows, source)


def _add(gold: GoldWriter, task: Trainable, piece: Piece, errors: Mapping[int, str]) -> None:
    """The rows of the piece that are measured by, as they are."""
    good = _good(piece, errors)
    fields = {name: column.filter(good) for name, column in piece.fields.items()}
    targets = {name: column.filter(good) for name, column in piece.targets.items()}
    gold.add(fields, right(task, targets))


def _write_lines(path: Path, rejects: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(one)}\n" for one in rejects), "utf-8")
