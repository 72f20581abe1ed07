"""The habits of the house that no linter knows, and the layers."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "src").rglob("*.py"))
PYTHON = sorted(
    path
    for folder in ("src", "tests", "benchmarks", "jobs")
    for path in (ROOT / folder).rglob("*.py")
)
PAPERS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "configs/**/*.yaml", "src/**/*.tsv", "src/**/*.yaml")
    for path in ROOT.glob(pattern)
)
MOST_LINES = 300
VAGUE = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
HEAVY = {"ray", "torch", "transformers", "pyarrow", "pandas", "datasets", "sklearn", "matplotlib"}


def test_modules_have_at_most_so_many_lines():
    lines = {_name(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_modules_are_named_after_a_noun_of_their_own():
    assert [_name(path) for path in MODULES if VAGUE & {path.stem, path.parent.name}] == []


def test_modules_open_with_a_docstring():
    silent = [path for path in PYTHON if _source(path) and not ast.get_docstring(_tree(path))]
    assert [_name(path) for path in silent] == []


def test_files_are_ascii():
    assert [_name(path) for path in [*PYTHON, *PAPERS] if not path.read_bytes().isascii()] == []


def test_layers_hold():
    program = Path(sys.executable).with_name("lint-imports")
    if not program.exists():
        pytest.skip("import-linter is not installed; it comes with the extra `dev`")
    done = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "command", [[], ["label"], ["status"], ["verify"], ["evaluate"], ["train"], ["demo"]]
)
def test_help_imports_nothing_heavy(command):
    loaded = _loaded_by_help(command)
    assert "click" in loaded
    assert loaded.isdisjoint(HEAVY)


def _loaded_by_help(command: list[str]) -> set[str]:
    """The top-level modules that are loaded when the help has been printed."""
    code = (
        "import sys\n"
        "from labelmill.cli import main\n"
        f"sys.argv = ['labelmill', *{command!r}, '--help']\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _source(path: Path) -> str:
    return path.read_text("utf-8").strip()


def _tree(path: Path) -> ast.Module:
    return ast.parse(_source(path))
