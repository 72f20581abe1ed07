"""Every setting of a job file has a test that shows what it does."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from labelmill.config.job import LabelJob
from labelmill.config.section import Section, subsections
from labelmill.ops import plugins
from labelmill.tasks import Task
from tests.support.effects import effects

ROOT = Path(__file__).parents[2]
EFFECTS = effects()


def keys() -> set[str]:
    """Every setting, those of the tasks' options under the task's name."""
    inner = subsections(LabelJob)
    found = set(LabelJob.model_fields) - {*inner, "options"}
    for name, section in inner.items():
        found |= {f"{name}.{key}" for key in section.model_fields}
    for module in plugins.modules("labelmill.tasks"):
        task: type[Task] = plugins.load_class("labelmill.tasks", module)
        options: type[Section] = task.Options
        found |= {f"{task.name}: options.{key}" for key in options.model_fields}
    return found


def test_every_setting_names_a_test_that_shows_its_effect() -> None:
    assert keys() == EFFECTS.keys()


@pytest.mark.parametrize("key", EFFECTS)
def test_test_that_shows_the_effect_of_a_setting_is_there_and_sets_it(key: str) -> None:
    path, _, name = EFFECTS[key].partition("::")
    defined = definitions(path)

    assert name in defined
    assert key.rpartition(".")[2] in set(words(name, defined))


@functools.cache
def definitions(path: str) -> dict[str, ast.stmt]:
    """What a file of tests defines by name: functions, with their parameters, and constants."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    found: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            names = [name for target in node.targets for name in _names(target)]
            found |= dict.fromkeys(names, node)
    return found


def words(name: str, defined: dict[str, ast.stmt]) -> Iterator[str]:
    """Names, keywords and texts in a test and in what of its file it uses."""
    seen: set[str] = set()
    left = [name]
    while left:
        one = left.pop()
        if one in seen or one not in defined:
            continue
        seen.add(one)
        for word in _names(defined[one]):
            left.append(word)
            yield word


def _names(statement: ast.AST) -> Iterator[str]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.arg | ast.keyword) and node.arg is not None:
            yield node.arg
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from node.value.replace(".", " ").replace("=", " ").split()
