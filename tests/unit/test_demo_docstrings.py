"""Docstrings found in source files and in modules written in C."""

from pathlib import Path

from labelmill.demo import docstrings
from labelmill.demo.docstrings import SHORTEST

LONG = "word " * (SHORTEST // 5) + "end"

SOURCE = f'''"""Module: {LONG}"""

class Outer:
    """Outer: {LONG}

        Indented less.
    """

    def method(self):
        """Method: {LONG}"""
        def hidden():
            """Hidden: {LONG}"""

    async def short(self):
        """Too short."""

if True:
    def guarded():
        """Guarded: {LONG}"""
'''


def test_of_file_finds_module_classes_and_methods_in_order(tmp_path):
    found = list(docstrings.of_file(_source(tmp_path, SOURCE), tmp_path))
    assert [(item.module, item.qualname) for item in found] == [
        ("pkg.mod", ""),
        ("pkg.mod", "Outer"),
        ("pkg.mod", "Outer.method"),
        ("pkg.mod", "guarded"),
    ]
    assert [item.line for item in found] == [1, 3, 9, 18]
    assert found[1].text == f"Outer: {LONG}\n\nIndented less."
    assert {item.file for item in found} == {"pkg/mod.py"}
    assert found[2].id == "pkg.mod:Outer.method:9"


def test_of_file_that_is_not_python_finds_nothing(tmp_path):
    for source in ("def f(:\n", "x = 1\0", "# coding: no-such-codec\n"):
        assert list(docstrings.of_file(_source(tmp_path, source), tmp_path)) == []


def test_of_file_with_foreign_invalid_escape_stays_silent(tmp_path):
    source = f'"""Module: {LONG}"""\nx = "\\d"\n'
    assert len(list(docstrings.of_file(_source(tmp_path, source), tmp_path))) == 1


def test_of_file_leaves_out_text_that_cannot_be_utf8(tmp_path):
    assert list(docstrings.of_file(_source(tmp_path, f'"""{LONG} \\ud800"""'), tmp_path)) == []


def test_of_c_module_finds_functions_and_methods():
    found = {item.qualname: item for item in docstrings.of_c_module("itertools")}
    assert "iterable" in found["chain.from_iterable"].text
    assert found[""].file == ""
    assert all(item.module == "itertools" for item in found.values())


def test_module_name_of_package_drops_init():
    assert docstrings.module_name(Path("email/mime/__init__.py")) == "email.mime"
    assert docstrings.module_name(Path("email/message.py")) == "email.message"


def _source(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pkg" / "mod.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    return path
