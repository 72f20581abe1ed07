"""The page about job files says what the sections say."""

import re
from pathlib import Path

import yaml

from labelmill.config.fingerprint import EXEMPT
from labelmill.config.job import LabelJob
from labelmill.config.loading import load_job
from labelmill.config.reference import EXAMPLE, render
from labelmill.config.section import subsections
from tests.support.jobs import GuessOptions
from tests.support.options import task_options

ROOT = Path(__file__).parents[2]


def test_page_in_the_repository_is_what_the_sections_say():
    page = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    assert page == render(task_options()), "docs/config.md is stale; run `make docs`"


def test_page_has_a_row_for_every_setting_and_every_option():
    rows = re.findall(r"^\| `(\w+)` \|.*\|$", render({"guess": GuessOptions}), re.MULTILINE)
    sections = [*subsections(LabelJob).values(), GuessOptions]
    assert set(rows) >= {name for section in sections for name in section.model_fields} | {"task"}


def test_every_setting_has_a_sentence():
    sections = [*subsections(LabelJob).values(), *task_options().values()]
    fields = [field for section in sections for field in section.model_fields.values()]
    assert [field for field in fields if not (field.description or "").endswith(".")] == []


def test_every_setting_that_is_not_compared_is_on_the_page():
    page = render({})
    assert [name for name in EXEMPT if f"| `{name}` |" not in page] == []


def test_every_row_of_a_table_has_as_many_cells_as_its_head():
    tables = re.findall(r"(?:^\|.*\|$\n)+", render({"guess": GuessOptions}), re.MULTILINE)
    for table in tables:
        counts = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(counts) == 1, table


def test_examples_on_the_page_load(tmp_path):
    options = task_options()
    blocks = re.findall(r"```yaml\n(.*?)```", render(options), re.DOTALL)
    for index, block in enumerate(blocks):
        path = tmp_path / f"{index}.yaml"
        path.write_text(block, encoding="utf-8")
        load_job(str(path), options_class=options.__getitem__)
    assert len(blocks) == 2


def test_example_has_every_setting():
    example = yaml.safe_load(EXAMPLE)
    written = {name: set(example[name]) for name in subsections(LabelJob) if name != "options"}
    known = {name: set(kind.model_fields) for name, kind in subsections(LabelJob).items()}
    known.pop("options")
    assert written == known
