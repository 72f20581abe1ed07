"""Process: what the process of a command is told before anything heavy is imported."""

import gc
import io
import os
import signal
import sys

_GARBAGE = 10_000  # new objects that may be garbage before Python looks for it


def set_up() -> None:
    """Set signals, streams, garbage collection, and what Ray reads in the environment."""
    _open_streams()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # KeyboardInterrupt, as Ctrl-C does
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may lack a letter of a name
        sys.stdout.reconfigure(errors="backslashreplace")
    # Imports make some hundred thousand objects, which stay: Python looks through them for garbage
    # every 700 new ones, a fifth of the time that the imports take, and once more at its end.
    gc.set_threshold(_GARBAGE)
    _set_up_ray()


def _open_streams() -> None:
    """Give a process that was started without its standard streams ones that lead nowhere.

    Else the next file that is opened gets the number of a stream, and all that libraries print.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            os.set_inheritable(nowhere, True)  # noqa: FBT003 - it has no name
            setattr(sys, name, os.fdopen(nowhere, "r" if name == "stdin" else "w", closefd=False))


def end() -> None:
    """Leave the objects to the system: the process ends a second sooner, with the code it has."""
    gc.freeze()
    # Where Ctrl-C came in the middle of an exec of text (imports do that: every dataclass), CPython
    # under -m ends with 130 whatever was made of it: run_eval_code_obj keeps that in mind until the
    # next text.
    exec("")  # noqa: S102


def _set_up_ray() -> None:
    """What Ray reads when it is imported."""
    # Else a thread that asks Ray for something after its end starts another one.
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
    # So many seconds the share of a driver that was killed is kept from the others on its cluster.
    # Ray's default is 180, for which the command that resumes crawls. It is renewed every 10.
    os.environ.setdefault("RAY_DATA_AUTOSCALING_REQUEST_EXPIRE_TIME_S", "30")
    # On a thread, what a replica has done is noticed a tenth of a second later. That thread is for
    # thousands of blocks a second; ours are whole splits.
    os.environ.setdefault("RAY_DATA_METADATA_PREFETCH_ON_THREAD", "0")
    # A driver's first workers are started before any is asked for, and no replica runs on them.
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
