"""Replica process: a replica in a process of its own, which is started anew where it dies.

The driver hands it parcels over a pipe. On the same pipe the replica speaks to the board, which is
the driver's. It ends with the driver, however that ends; signals of a terminal are the driver's.
"""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from labelmill.plan.recipe import Recipe
from labelmill.stages.board import Board, Past
from labelmill.stages.parcel import Parcel
from labelmill.stages.predict import Replica, allow_loading

_PROGRAM = "import sys; from labelmill.pipeline import replica_process as replica; "
_PROGRAM += "replica.serve(int(sys.argv[1]))"
# What is sent: (kind, name of a method of the board, arguments), or (kind, what there is to say).
_ASK, _TELL, _DONE, _FAILED = "ask", "tell", "done", "failed"
_BOARD = threading.Lock()  # replicas of one driver share its board


class ReplicaProcess:
    """Predicts one parcel at a time, for whichever thread asks."""

    def __init__(
        self, number: int, recipe: Recipe, board: Board, started: Callable[[], "Child"]
    ) -> None:
        """`started` gives a process that has loaded nothing, whenever one is needed."""
        self._name = str(number)
        self._recipe = recipe
        self._board = board
        self._started = started
        self._turn = threading.Lock()
        self._child: Child | None = None

    def start(self) -> None:
        """Have the model loaded; raises what that raises, EngineError where it kills again."""
        with self._turn:
            self._loaded()

    def predict(self, parcel: Parcel) -> Parcel:
        """See Replica; once the job is stopping a parcel whose replica dies is skipped."""
        with self._turn:
            while (child := self._loaded()) is not None:
                try:
                    found: Parcel = child.answer(parcel, self._board)
                except _Died:
                    self._child = None
                else:
                    return found
            return parcel.skip()

    def kill(self) -> None:
        """End the process at once; the job must have been told to stop."""
        child = self._child
        if child is not None:
            child.kill()

    def _loaded(self) -> "Child | None":
        """The process with its model; None once the job is stopping and there is none."""
        while self._child is None and not self._board.stopping():
            with _BOARD:
                allow_loading(self._board.load(self._name))
            # Known to `kill` from here on.
            self._child = self._started()
            try:
                self._child.answer(self._recipe, self._board)
            except _Died:
                self._child = None
            else:
                with _BOARD:
                    self._board.loaded(self._name)
        return self._child


class _Died(Exception):  # noqa: N818 - never leaves this module
    """The process has ended, and nobody told it to."""


class Child:
    """The driver's end of a replica's process, from its first import to its death.

    Not of `multiprocessing`, whose children run the program that started the driver once more.
    """

    def __init__(self, *, verbose: bool) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-c", _PROGRAM, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.PIPE,  # its end tells the replica of the driver's
            # Stdout is for the command's result; what libraries say is for who asked for it.
            stdout=sys.stderr.fileno() if verbose else subprocess.DEVNULL,
            stderr=None if verbose else subprocess.DEVNULL,
            env=_environment(),
            process_group=0,  # a terminal's Ctrl-C is for the driver
        )
        theirs.close()

    def answer(self, given: Recipe | Parcel, board: Board) -> Any:
        """What becomes of the parcel; a recipe is answered once its model is loaded.

        Raises what the replica raised, _Died where its process ended.
        """
        try:
            self._pipe.send(given)
            while (message := self._pipe.recv())[0] in {_ASK, _TELL}:
                self._told(board, *message)
        except (EOFError, OSError) as error:
            self.kill()
            self._pipe.close()
            raise _Died from error
        kind, said = message
        if kind == _FAILED:
            raise said
        return said

    def kill(self) -> None:
        """End it at once; may be called again, and by any thread."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _told(self, board: Board, kind: str, name: str, given: Any, named: Any) -> None:
        with _BOARD:
            found = getattr(board, name)(*given, **named)
        if kind == _ASK:
            self._pipe.send(found)


def _environment() -> dict[str, str]:
    """The driver's. Engines set their threads themselves; numpy's would come on top of them."""
    paths = os.pathsep.join(filter(None, sys.path))
    return {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": paths}


def serve(descriptor: int) -> None:
    """The replica's end: the whole life of its process."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # who stops all means the driver
    threading.Thread(target=_end_with_driver, daemon=True).start()
    pipe = Connection(descriptor)
    try:
        replica = Replica(pipe.recv(), _Board(pipe))
        pipe.send((_DONE, None))
        while True:
            pipe.send((_DONE, replica.predict(pipe.recv())))
    except (EOFError, BrokenPipeError):  # the driver is gone
        return
    except Exception as error:  # noqa: BLE001 - raised by the driver
        pipe.send((_FAILED, _portable(error)))


def _portable(error: Exception) -> Exception:
    """The error with where it was raised, or one that says so where it cannot be pickled."""
    told = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - ours
    except Exception:  # noqa: BLE001 - as it may hold anything
        return RuntimeError(told)
    error.add_note(told)
    return error


def _end_with_driver() -> None:
    """Whatever the replica computes: nobody waits for it any more."""
    sys.stdin.buffer.read()
    os._exit(1)


class _Board:
    """The board, from the replica's end; see Notices. `end` and `post` do not wait."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def stopping(self) -> bool:
        return bool(self._ask("stopping"))

    def begin(self, split: str) -> Past:
        past: Past = self._ask("begin", split)
        return past

    def convict(self, split: str, lethal: Mapping[int, str]) -> None:
        self._ask("convict", split, lethal)

    def end(self, split: str) -> None:
        self._tell("end", split)

    def post(self, split: str, rows: int, tokens: int) -> None:
        self._tell("post", split, rows, tokens)

    def _ask(self, name: str, *given: Any) -> Any:
        self._pipe.send((_ASK, name, given, {}))
        return self._pipe.recv()

    def _tell(self, name: str, *given: Any, **named: Any) -> None:
        self._pipe.send((_TELL, name, given, named))
