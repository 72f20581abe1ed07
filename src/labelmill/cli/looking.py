"""`labelmill status` and `labelmill verify`: what an output directory says of itself."""

from dataclasses import asdict

from labelmill import verification
from labelmill.cli import console
from labelmill.ledger.status import damage_of, read_status, rejects_of
from labelmill.reports.checking import Checking, findings
from labelmill.reports.summary import summary


def status(output: str, *, as_json: bool) -> int:
    """Print how far the run is; 0 where it is whole, 3 where not."""
    found = read_status(output)
    console.result(found.to_json() if as_json else summary(found))
    return 0 if found.complete else 3


def rejects(output: str) -> int:
    """Print every reject, one JSON object a line; 0."""
    for placed in rejects_of(output):
        if not console.result({"shard": placed.shard} | asdict(placed.reject)):
            break
    return 0


def damage(output: str) -> int:
    """Print every damaged piece of the source, one JSON object a line; 0."""
    for placed in damage_of(output):
        if not console.result({"shard": placed.shard} | asdict(placed.piece)):
            break
    return 0


def verify(output: str, *, source: bool, as_json: bool) -> int:
    """Print what was compared and what is wrong; 0 where nothing is, 1 where something is.

    A shard that was found damaged is told, and nothing wrong with the run.
    """
    with Checking() as checking:
        found = verification.verify(output, source=source, progress=checking.show)
    told = asdict(found) | {"ok": found.ok}
    console.result(told if as_json else findings(found, output))
    return 0 if found.ok else 1
