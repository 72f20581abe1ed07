"""Plugins found by their names, in a package made for the test."""

from pathlib import Path

import pytest

from labelmill.errors import ConfigError
from labelmill.ops import plugins


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"made_{abs(hash(tmp_path))}.things"
    home = tmp_path / name.replace(".", "/")
    home.mkdir(parents=True)
    for place in (home.parent, home):
        (place / "__init__.py").write_text("")
    (home / "big_one.py").write_text("MARK = 1\n\n\nclass BigOne:\n    pass\n")
    (home / "small.py").write_text("MARK = 2\n")
    (home / "other.py").write_text("")
    (home / "_private.py").write_text("raise RuntimeError\n")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_modules_are_the_public_ones_sorted(package: str) -> None:
    assert plugins.modules(package) == ("big-one", "other", "small")
    assert plugins.modules(package, having="MARK") == ("big-one", "small")


def test_load_understands_both_spellings(package: str) -> None:
    assert plugins.load(package, "big-one") is plugins.load(package, "big_one", having="MARK")
    assert plugins.load_class(package, "big-one").__name__ == "BigOne"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("smal", "no such thing: 'smal'; did you mean 'small'?"),
        ("xyz", "no such thing: 'xyz'; known are big-one, small"),
        ("other", "no such thing: 'other'; known are big-one, small"),
        ("_private", "no such thing: '_private'; known are big-one, small"),
    ],
)
def test_load_of_an_unknown_name_says_what_there_is(package: str, name: str, advice: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plugins.load(package, name, having="MARK")
    assert str(caught.value) == advice
