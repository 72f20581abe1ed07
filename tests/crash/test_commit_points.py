"""SIGKILL at every point of the protocol, then the same job again: nothing lost, nothing twice.

The job runs without Ray in a process of its own, which is killed. What dies is the process: a
machine that loses power may also lose what was written but not synced, and no test here sees that.
"""

import signal
from pathlib import Path

import pytest

from tests.support import corpus, inline, mortal
from tests.support.corpus import parts, require_readable, require_whole
from tests.support.killing import CREATED, Death
from tests.support.models import tiny_classifier

pytestmark = pytest.mark.slow

Point = tuple[str, str, int]  # kind of file, moment, how often it was there already, and once more

_FOURTH = 4  # of twelve splits
_ONCE = ("manifest", "shards", "attempts", "rejects", "segments", "sealed")
_EACH = ("prepared", "part", "receipts")
_POINTS: list[Point] = [
    *((kind, moment, 1) for kind in _ONCE for moment in CREATED),
    *((kind, moment, _FOURTH) for kind in _EACH for moment in CREATED),
    ("part", "linked", 1),
    ("receipts", "linked", corpus.SPLITS),
    ("prepared", "undeleted", _FOURTH),
    ("prepared", "deleted", _FOURTH),
    ("receipts", "undeleted", 1),
    ("receipts", "deleted", 1),
    ("receipts", "deleted", 7),
]
# Where the second attempt dies that finds what the first one left.
_TWICE: list[tuple[Point, Point]] = [
    (("part", "linked", _FOURTH), ("receipts", "before", 1)),
    (("part", "linked", _FOURTH), ("receipts", "linked", 1)),
    (("part", "linked", _FOURTH), ("prepared", "undeleted", 1)),
    (("receipts", "linked", _FOURTH), ("segments", "linked", 1)),
    (("receipts", "linked", _FOURTH), ("receipts", "deleted", 2)),
    (("receipts", "undeleted", 1), ("receipts", "deleted", 1)),
    (("part", "half", _FOURTH), ("part", "half", 1)),
    (("sealed", "before", 1), ("sealed", "written", 1)),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_classifier(tmp_path_factory.mktemp("model") / "bert")


@pytest.fixture(scope="module")
def whole(source: Path, model: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The parts of a run that nothing interrupted."""
    return corpus.uninterrupted(tmp_path_factory.mktemp("whole"), source, model)


@pytest.fixture
def job(tmp_path: Path, source: Path, model: str) -> Path:
    return corpus.write_job(tmp_path / "job.yaml", source, tmp_path / "out", model)


def _named(point: Point) -> str:
    return "-".join(map(str, point))


@pytest.mark.parametrize("point", _POINTS, ids=_named)
def test_resume_after_kill_at_a_point_writes_each_row_once(
    tmp_path: Path, whole: dict[str, bytes], job: Path, point: Point
) -> None:
    assert mortal.attempt(job, _death(tmp_path / "claims", point)) == -signal.SIGKILL
    require_readable(tmp_path / "out", whole)
    before = parts(tmp_path / "out")

    inline.label_file(job)

    require_whole(tmp_path / "out", whole, before)


@pytest.mark.parametrize(("first", "second"), _TWICE, ids=_named)
def test_resume_after_kill_of_a_resume_writes_each_row_once(
    tmp_path: Path, whole: dict[str, bytes], job: Path, first: Point, second: Point
) -> None:
    assert mortal.attempt(job, _death(tmp_path / "first", first)) == -signal.SIGKILL
    before = parts(tmp_path / "out")
    assert mortal.attempt(job, _death(tmp_path / "second", second)) == -signal.SIGKILL
    require_readable(tmp_path / "out", whole)

    inline.label_file(job)

    require_whole(tmp_path / "out", whole, before)


def _death(claims: Path, point: Point) -> Death:
    kind, moment, number = point
    claims.mkdir()
    return Death(kind=kind, moment=moment, number=number, claims=str(claims))
