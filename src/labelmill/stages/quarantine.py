"""Quarantine: a child process that predicts what a replica would not survive.

A split that has killed its replica twice is sifted here: halves that the child survives are
harmless, a row that kills the child alone is lethal. The child is told one piece at a time, so its
death says which. It costs one loading of the model a death; there are at most about log2(rows)
deaths a lethal row.
"""

import multiprocessing
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import numpy.typing as npt

from labelmill.batch import Encoded
from labelmill.errors import EngineError
from labelmill.plan.recipe import Recipe
from labelmill.stages.agreement import part_of
from labelmill.stages.inference import open_inference

_START_LIMIT = 600.0  # seconds for the child to load the model


class Quarantine:
    """Sifts one split."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._child: _Child | None = None

    def sift(self, encoded: Encoded) -> tuple[Mapping[int, str], Encoded]:
        """The lethal rows with their reasons, and the encoded rows without them.

        The rows keep their numbers. Raises EngineError where the child cannot even load the model.
        """
        rows = np.unique(encoded.rows).astype(np.int64)
        lethal: dict[int, str] = {}
        try:
            self._search(encoded, rows, lethal)
        finally:
            self._end()
        keep = np.flatnonzero(~np.isin(encoded.rows, list(lethal)))
        return lethal, _sequences(encoded, keep)

    def _search(
        self, encoded: Encoded, rows: npt.NDArray[np.int64], lethal: dict[int, str]
    ) -> None:
        if not len(rows):
            return
        status = self._try(part_of(encoded, rows))
        if status is None:
            return
        if len(rows) == 1:
            lethal[int(rows[0])] = f"killed its replica twice, and once more alone ({status})"
            return
        middle = len(rows) // 2
        self._search(encoded, rows[:middle], lethal)
        self._search(encoded, rows[middle:], lethal)

    def _try(self, piece: Encoded) -> str | None:
        """None where the child survived the piece, else how it died."""
        if self._child is None:
            self._child = _Child(self._recipe)
        status = self._child.survive(piece)
        if status is not None:
            self._child = None
        return status

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()


class _Child:
    """A process with an engine of its own. Spawned: a fork of one with threads may deadlock."""

    def __init__(self, recipe: Recipe) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(recipe, theirs), daemon=True)
        self._process.start()
        theirs.close()
        if not self._pipe.poll(_START_LIMIT) or self._answer() != "ready":
            self.end()
            raise EngineError("the quarantine process could not load the model; see the log above")

    def survive(self, piece: Encoded) -> str | None:
        self._pipe.send(piece)
        if self._answer() == "survived":
            return None
        self._process.join()
        code = self._process.exitcode or 0
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def end(self) -> None:
        self._process.kill()
        self._process.join()

    def _answer(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, ConnectionResetError):
            return "died"


def _serve(recipe: Recipe, pipe: Connection) -> None:
    inference = open_inference(recipe)
    pipe.send("ready")
    while True:
        inference.run(pipe.recv())
        pipe.send("survived")


def _sequences(encoded: Encoded, chosen: npt.NDArray[np.int64]) -> Encoded:
    rows = np.unique(encoded.rows[chosen]).astype(np.int64)
    part = part_of(encoded, rows)
    return Encoded(rows=encoded.rows[chosen], lengths=part.lengths, inputs=part.inputs)
