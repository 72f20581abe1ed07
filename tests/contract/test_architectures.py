"""What is said of architectures is what the contract tests try."""

from collections.abc import Iterator
from typing import Any

import pytest
import transformers

from labelmill.engines.pytorch import packing
from labelmill.ops import plugins
from tests.support import architectures, packed_models
from tests.support.pages import DOCS

TASKS = plugins.modules("labelmill.tasks")
CONTRACTS = architectures.contracts()


@pytest.mark.parametrize("task", TASKS)
def test_task_is_tried_with_several_architectures(task):
    ways = {way: names for way, names in architectures.works().items() if way.split()[0] == task}
    assert ways
    assert all(len(set(names)) >= 4 for names in ways.values())


@pytest.mark.parametrize("file", CONTRACTS)
def test_architectures_that_a_file_names_are_those_that_its_tests_try(file):
    tried = set(_tried(CONTRACTS[file]))
    for way, names in CONTRACTS[file].WORKS.items():
        assert set(names) <= tried, way


def _tried(module: Any) -> Iterator[str]:
    """What the tests of a module are parametrized with as `architecture`."""
    for name, function in vars(module).items():
        if name.startswith("test_"):
            for mark in getattr(function, "pytestmark", ()):
                if mark.name == "parametrize" and mark.args[0] == "architecture":
                    yield from mark.args[1]


def test_every_architecture_has_a_title_and_a_type_that_transformers_knows():
    titled = [recipe for recipes in architectures.KINDS.values() for recipe in recipes]
    assert len(titled) == len(set(titled))
    assert {name for names in architectures.works().values() for name in names} <= set(titled)
    types = {kind for recipes in architectures.KINDS.values() for _, kind in recipes.values()}
    assert types <= set(transformers.CONFIG_MAPPING)


def test_architectures_called_padding_free_are_those_that_the_engine_packs():
    assert set(packed_models.ARCHITECTURES) == set(packing._COUNTED)


def test_page_in_the_repository_is_what_the_tests_say():
    page = (DOCS / "architectures.md").read_text(encoding="utf-8")
    assert page == architectures.page(), "docs/architectures.md is stale; run `make docs`"
