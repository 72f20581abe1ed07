"""The command around an evaluation: what it refuses at once, and what it prints first."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from labelmill.cli import group
from labelmill.cli.evaluating import _replace, evaluating
from labelmill.errors import ConfigError, StorageError
from labelmill.evaluation.evaluation import Wish
from labelmill.storage.local import LocalStore
from tests.support.labelled_runs import labelled_run


@pytest.fixture
def wish(tmp_path: Path) -> Wish:
    run = labelled_run(tmp_path / "run", {"gold": ["a"]}, {"label": ["a"], "score": [0.5]})
    return Wish(output=run, gold="gold", resamples=0)


def test_page_that_is_a_directory_is_refused_before_anything_is_measured(wish, tmp_path, capsys):
    with pytest.raises(ConfigError, match=r"--page: .* is a directory, expected the name"):
        evaluating(wish, str(tmp_path), as_json=True)
    assert not capsys.readouterr().out


def test_page_that_cannot_be_written_costs_no_result(wish, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        evaluating(wish, str(tmp_path / "file" / "page.html"), as_json=True)
    assert json.loads(capsys.readouterr().out)["metrics"]


def test_page_whose_answer_was_lost_is_ours(tmp_path, monkeypatch):
    create = LocalStore.create
    # The library repeats the request, and the store finds the name taken.
    monkeypatch.setattr(LocalStore, "create", lambda *what: create(*what) and False)
    page = tmp_path / "page.html"
    _replace(str(page), b"content")
    assert page.read_bytes() == b"content"


@pytest.mark.parametrize("slice_", ["0/4", "5/4", "1", "\u00b2/4", "1/\u2463"])
def test_what_is_no_slice_is_refused_with_one_that_is(slice_):
    result = CliRunner().invoke(group, ["label", "job.yaml", "--slice", slice_])
    assert result.exit_code == 2
    assert "is no slice; expected i/N" in result.output
