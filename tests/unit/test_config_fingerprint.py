"""What is in the fingerprint, and its laws."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelmill.config.fingerprint import EXEMPT, differences, fingerprint, result_settings
from labelmill.config.job import LabelJob
from labelmill.config.section import Section, subsections
from tests.support.jobs import job, options_class

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)
SETTINGS = st.dictionaries(st.text(min_size=1), VALUES, max_size=6)

# Every setting of a job file is in one of these two. A new one has to be thought about, then added:
# can it change a label, or the rows and columns of the output?
CHANGES_RESULTS = {
    "task": "other",
    "model.trust_remote_code": True,
    "model.allow_pickle": True,
    "source.format": "jsonl",
    "source.columns": {"text": "body"},
    "source.keep": ["id"],
    "source.on_bad_row": "fail",
    "options": {"max_length": 3},
    "output.format": "jsonl",
    "output.prefix": "x_",
    "output.position": True,
}
CHANGES_NONE = {
    "model.path": "elsewhere",
    "model.revision": "v2",
    "model.engine": "pytorch",
    "model.precision": "float32",
    "model.min_agreement": 0.5,
    "source.path": "elsewhere",
    "source.on_bad_shard": "fail",
    "source.split_rows": 3,
    "source.split_bytes": 3,
    "output.path": "elsewhere",
    "output.reject_text": False,
    "output.max_rejected": 0.5,
    "resources.runner": "ray",
    "resources.replicas": 3,
    "resources.gpus_per_replica": 3,
    "resources.cpus_per_replica": 3,
    "resources.tokenizers": 3,
    "resources.microbatch_tokens": 3,
    "resources.compile": True,
}


def settings_of(section: type[Section]) -> set[str]:
    inner = subsections(section)
    names = set(section.model_fields) - set(inner)
    for name, kind in inner.items():
        names |= {f"{name}.{key}" for key in kind.model_fields} or {name}
    return names


def changed(tmp_path, name, value):
    if name == "task":
        return job(tmp_path).model_copy(update={"task": value})
    section, _, key = name.partition(".")
    return job(tmp_path, {section: {key: value} if key else value})


def test_every_setting_is_either_in_the_fingerprint_or_known_to_be_exempt():
    assert settings_of(LabelJob) == CHANGES_RESULTS.keys() | CHANGES_NONE.keys()
    assert not CHANGES_RESULTS.keys() & CHANGES_NONE.keys()


def test_exempt_names_are_settings_or_whole_sections_that_exist():
    sections = {name.partition(".")[0] for name in CHANGES_NONE}
    assert set(EXEMPT) <= CHANGES_NONE.keys() | sections


@pytest.mark.parametrize("name", CHANGES_RESULTS)
def test_setting_that_can_change_a_result_changes_the_fingerprint(tmp_path, name):
    before = result_settings(job(tmp_path))
    after = result_settings(changed(tmp_path, name, CHANGES_RESULTS[name]))
    assert fingerprint(before) != fingerprint(after)
    assert [line.partition(":")[0].startswith(name) for line in differences(before, after)] == [
        True
    ]


@pytest.mark.parametrize("name", CHANGES_NONE)
def test_setting_that_changes_no_result_leaves_the_fingerprint(tmp_path, name):
    after = changed(tmp_path, name, CHANGES_NONE[name])
    assert after != job(tmp_path)
    assert result_settings(after) == result_settings(job(tmp_path))


@pytest.mark.parametrize("name", options_class("guess").model_fields)
def test_every_option_of_a_task_is_in_the_fingerprint(tmp_path, name):
    assert f"options.{name}" in result_settings(job(tmp_path))


def test_result_settings_are_flat_and_dotted(tmp_path):
    changes = {"source": {"columns": {"text": "a.b"}, "keep": ["id"]}}
    settings = result_settings(job(tmp_path, changes))
    assert settings["source.columns.text"] == "a.b"
    assert settings["source.keep"] == ["id"]
    assert settings["source.on_bad_row"] == "reject"
    assert not [value for value in settings.values() if isinstance(value, dict)]


def test_default_written_out_is_the_same_job(tmp_path):
    written = job(
        tmp_path, {"source": {"keep": "all", "on_bad_row": "reject"}, "options": {"low": 0}}
    )
    assert result_settings(written) == result_settings(job(tmp_path))


def test_fingerprint_is_what_it_was_in_earlier_versions():
    # Runs in users' directories carry it: it may not change with a release.
    settings = {
        "task": "guess",
        "source.keep": ["id"],
        "options.low": 0.5,
        "options.code": "\u00e9",
    }
    assert (
        fingerprint(settings) == "22fdb5c3d08ab8926faed9659da760c5e50564016469a1a7e5d5aedcbdcad826"
    )


def test_fingerprint_is_the_same_in_another_process():
    settings = {"a": 1, "b": [1.5, None, True], "c": "x"}
    program = (
        f"from labelmill.config.fingerprint import fingerprint; print(fingerprint({settings!r}))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == fingerprint(settings)


@given(SETTINGS, st.randoms(use_true_random=False))
def test_order_of_settings_does_not_matter(settings, random):
    items = list(settings.items())
    random.shuffle(items)
    assert fingerprint(dict(items)) == fingerprint(settings)
    assert differences(dict(items), settings) == []


@given(SETTINGS, SETTINGS)
def test_settings_differ_exactly_where_their_fingerprints_do(old, new):
    assert (fingerprint(old) == fingerprint(new)) == (differences(old, new) == [])


@given(SETTINGS, st.text(min_size=1), VALUES, VALUES)
def test_one_changed_setting_is_the_one_that_is_told(settings, name, one, other):
    lines = differences(settings | {name: one}, settings | {name: other})
    assert len(lines) <= 1
    assert all(line.startswith(f"{name}: the run has ") for line in lines)


def test_differences_say_what_each_side_has():
    old = {"model.revision": "a1b2", "same": 1, "gone": 2, "whole": 1}
    new = {"model.revision": "c3d4", "same": 1, "added": None, "whole": 1.0}
    assert differences(old, new) == [
        "added: the run has nothing, this job None",
        "gone: the run has 2, this job nothing",
        "model.revision: the run has 'a1b2', this job 'c3d4'",
        "whole: the run has 1, this job 1.0",
    ]
