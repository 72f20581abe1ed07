"""Quarantine: a child process that predicts what a replica would not survive.

A split that has killed its replica twice is sifted here: halves that the child survives are
harmless, a row that kills the child alone is lethal. The child is told one piece at a time, so its
death says which. It costs one loading of the model a death; there are at most about log2(rows)
deaths a lethal row. Where one row after another is lethal and none is survived, the rows are not to
blame, and none is rejected.
"""

import multiprocessing
from collections.abc import Mapping
from multiprocessing.connection import Connection

import numpy as np
import numpy.typing as npt

from labelmill.batch import Encoded
from labelmill.errors import EngineError, LabelmillError
from labelmill.ops import plugins
from labelmill.plan.recipe import Recipe
from labelmill.stages.agreement import part_of
from labelmill.stages.inference import open_inference

_START_LIMIT = 600.0  # seconds for the child to load the model
# What an engine and a tokenizer are loaded with, imported by the server where it is installed.
_LOADING = (
    "labelmill.checkpoints.loading",
    "labelmill.models.loading",
    "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto",
)
_DOUBT = 3  # lethal rows in a row, without one that is survived


class Quarantine:
    """Sifts one split."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._child: _Child | None = None
        self._survived = False

    def sift(self, encoded: Encoded) -> Mapping[int, str]:
        """The lethal rows with their reasons.

        Raises EngineError where the child survives nothing, and what it raises itself.
        """
        lethal: dict[int, str] = {}
        try:
            self._search(encoded, np.unique(encoded.rows).astype(np.int64), lethal)
        finally:
            self._end()
        return lethal

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
            self._require_survivors(lethal, status)
            return
        middle = len(rows) // 2
        self._search(encoded, rows[:middle], lethal)
        self._search(encoded, rows[middle:], lethal)

    def _try(self, piece: Encoded) -> str | None:
        """None where the child survived the piece, else how it died."""
        if self._child is None:
            self._child = _Child(self._recipe)
        status = self._child.survive(piece)
        if status is None:
            self._survived = True
        else:
            self._child = None
        return status

    def _require_survivors(self, lethal: Mapping[int, str], status: str) -> None:
        if len(lethal) >= _DOUBT and not self._survived:
            raise EngineError(
                f"the model kills its process on every row that is tried ({status}); see that it "
                "runs on this machine at all and that memory is left, or lower "
                "resources.microbatch_tokens"
            )

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()


def without(encoded: Encoded, rows: Mapping[int, str]) -> Encoded:
    """The encoded rows but for some; those that stay keep their numbers."""
    if not rows:
        return encoded
    kept = np.flatnonzero(~np.isin(encoded.rows, list(rows)))
    return encoded.take(kept, encoded.rows[kept])


class _Child:
    """A process with an engine of its own.

    Forked from a server that has imported the engine and holds no model: a fork of the replica,
    which has threads, may deadlock, and a fresh interpreter imports for seconds at every death.
    """

    def __init__(self, recipe: Recipe) -> None:
        engine = plugins.load("labelmill.engines", recipe.runtime.engine)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(
            ["__main__", __name__, *_LOADING, engine.__name__, f"{engine.__name__}.engine"]
        )
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(recipe, theirs), daemon=True)
        self._process.start()
        theirs.close()
        if self._answer(_START_LIMIT) != "ready":
            self.end()
            raise EngineError(
                "the quarantine process died while it loaded the model; see that memory is left "
                "for one more model beside each replica, or lower resources.replicas"
            )

    def survive(self, piece: Encoded) -> str | None:
        """None, or how the child died; raises what the child raised."""
        self._pipe.send(piece)
        if self._answer() == "survived":
            return None
        self._process.join()
        code = self._process.exitcode or 0
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def end(self) -> None:
        self._process.kill()
        self._process.join()

    def _answer(self, seconds: float | None = None) -> str:
        try:
            answer = self._pipe.recv() if self._pipe.poll(seconds) else "late"
        except (EOFError, ConnectionResetError):
            return "died"
        if isinstance(answer, LabelmillError):
            self.end()
            raise answer
        return str(answer)


def _serve(recipe: Recipe, pipe: Connection) -> None:
    try:
        inference = open_inference(recipe)
        pipe.send("ready")
        while True:
            inference.run(pipe.recv())
            pipe.send("survived")
    except LabelmillError as error:
        pipe.send(error)
    except EOFError:  # the replica is gone
        return
