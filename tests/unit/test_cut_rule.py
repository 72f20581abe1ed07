"""The sizes of a split: those that a job sets, and those that it leaves to us."""

import pytest

from labelmill.config.source import SourceSection
from labelmill.plan.runtime import Corpus, cut_rule
from labelmill.splits import CutRule
from labelmill.tasks import Work

AUTO = SourceSection.model_validate({"path": "in"})
ENDLESS = Corpus(rows=10**9, size=10**12)
STANDING = CutRule(split_rows=7, split_bytes=77)


def rows_of(rows: int | None, device: str = "cuda") -> int:
    corpus = Corpus(rows=rows, size=10**12)
    return cut_rule(AUTO, device, "scoring", None, corpus).split_rows


def test_large_corpus_gets_the_sizes_of_the_device() -> None:
    assert cut_rule(AUTO, "cpu", "scoring", None, ENDLESS) == CutRule(
        split_rows=500, split_bytes=8 << 20
    )
    assert cut_rule(AUTO, "cuda", "scoring", None, ENDLESS) == CutRule(
        split_rows=200_000, split_bytes=128 << 20
    )


@pytest.mark.parametrize(
    ("rows", "split"),
    [
        (0, 20_000),
        (1_000_000, 20_000),
        (12_800_000, 100_000),
        (25_600_000, 200_000),
        (None, 200_000),
    ],
)
def test_small_corpus_gets_smaller_splits_on_gpus(rows: int | None, split: int) -> None:
    assert rows_of(rows) == split


@pytest.mark.parametrize(("rows", "split"), [(10, 100), (4_000, 250), (8_000, 500)])
def test_small_corpus_gets_smaller_splits_on_cpus(rows: int, split: int) -> None:
    assert rows_of(rows, "cpu") == split


def test_small_corpus_of_lines_is_cut_by_its_bytes() -> None:
    corpus = Corpus(rows=None, size=128 * (50 << 20))

    assert cut_rule(AUTO, "cuda", "scoring", None, corpus).split_bytes == 50 << 20


@pytest.mark.parametrize(
    ("device", "work"), [("cpu", "media"), ("cuda", "media"), ("cuda", "generating")]
)
def test_where_rows_are_large_or_slow_the_size_of_the_corpus_does_not_count(
    device: str, work: Work
) -> None:
    tiny = Corpus(rows=3, size=100)

    found = cut_rule(AUTO, device, work, None, tiny)

    assert found == cut_rule(AUTO, device, work, None, ENDLESS)


def test_run_that_is_there_keeps_its_sizes_when_its_source_grows() -> None:
    assert cut_rule(AUTO, "cuda", "scoring", STANDING, ENDLESS) == STANDING


def test_job_has_the_last_word() -> None:
    job = SourceSection.model_validate({"path": "in", "split_rows": 11})

    found = cut_rule(job, "cuda", "scoring", STANDING, ENDLESS)

    assert found == CutRule(split_rows=11, split_bytes=77)


def test_beside_a_size_that_the_job_chose_the_other_is_that_of_the_device() -> None:
    job = SourceSection.model_validate({"path": "in", "split_rows": 9_000})

    found = cut_rule(job, "cpu", "scoring", None, Corpus(rows=9_000, size=9_000_000))

    assert found == CutRule(split_rows=9_000, split_bytes=8 << 20)
