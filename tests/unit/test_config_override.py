"""Settings of the command line, laid over the job file."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from labelmill.config.override import Override, apply, parse_override
from tests.support.jobs import MINIMAL, job, refusal

NAMES = st.sampled_from("abc")
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(tuple)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("model.revision=main", "model.revision", "main"),
        ("model.revision=null", "model.revision", None),
        ("model.revision=", "model.revision", None),
        ("model.path=a=b", "model.path", "a=b"),
        ("output.prefix=''", "output.prefix", ""),
        ("output.position=true", "output.position", True),
        ("output.max_rejected=1e-3", "output.max_rejected", 0.001),
        ("source.path='[a, b]'", "source.path", ("[a, b]",)),
        ("source.path=[a, b]", "source.path", ("a", "b")),
        ("source.columns.text=body", "source.columns", {"text": "body"}),
        ("source.columns={text: body}", "source.columns", {"text": "body"}),
        ("source.on_bad_row=null", "source.on_bad_row", "null"),
        ("options.max_length=128", "options.max_length", 128),
        ("resources.microbatch_tokens=8192", "resources.microbatch_tokens", 8192),
        ("resources.microbatch_tokens = 8192", "resources.microbatch_tokens", 8192),
    ],
)
def test_override_sets_what_it_names(tmp_path, text, name, value):
    section, key = name.split(".")
    assert getattr(getattr(job(tmp_path, {}, text), section), key) == value


def test_override_wins_over_the_file_and_the_last_over_the_first(tmp_path):
    changes = {"source": {"columns": {"text": "a", "other": "b"}, "split_rows": 1}}
    changed = job(
        tmp_path, changes, "source.split_rows=2", "source.split_rows=3", "source.columns.text=c"
    )
    assert changed.source.split_rows == 3
    assert changed.source.columns == {"text": "c", "other": "b"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x", "--set: 'x' is not a setting; expected such as model.revision=main"),
        ("=x", "--set: '=x' is not a setting; expected such as model.revision=main"),
        (
            "model..path=x",
            "--set: 'model..path=x' is not a setting; expected such as model.revision=main",
        ),
        (
            "model.path=[",
            (
                "--set: 'model.path=[': line 1, column 2: "
                "expected the node content, but found '<stream end>'"
            ),
        ),
        (
            "model={a: b, a: c}",
            "--set: 'model={a: b, a: c}': line 1, column 8: the key 'a' is given twice; keep one",
        ),
        ("task.name=x", "--set: task.name: task is 'guess', which has no settings inside"),
        (
            "source.path.x.y=x",
            "--set: source.path.x.y: source.path is 'data/', which has no settings inside",
        ),
        (
            "resources.batchsize=8",
            "--set: resources.batchsize: no such setting; did you mean 'microbatch_tokens'?",
        ),
        ("ressources.replicas=8", "--set: ressources: no such setting; did you mean 'resources'?"),
        (
            "options.max_length=x",
            "--set: options.max_length: input should be an integer of at least 1 or null (got 'x')",
        ),
        ("output.prefix=null", "--set: output.prefix: input should be text (got None)"),
        (
            "output={path: a, max_reject: 1}",
            "--set: output.max_reject: no such setting; did you mean 'max_rejected'?",
        ),
        ("output={}", "--set: output.path: required; set it to text"),
        ("task=gess", "--set: task: no such task 'gess'; did you mean 'guess'?"),
    ],
)
def test_override_that_is_wrong_is_refused_as_set(tmp_path, text, line):
    assert refusal(tmp_path, yaml.safe_dump(MINIMAL), text) == [line]


def test_problem_beside_an_override_stays_with_the_file(tmp_path):
    text = yaml.safe_dump(MINIMAL | {"output": {"path": 3}})
    assert refusal(tmp_path, text, "output.position=true") == [
        "job.yaml: output.path: input should be text (got 3); put it in quotes"
    ]


@given(st.lists(PATHS, min_size=1, max_size=4), st.integers())
def test_applied_override_is_found_at_its_path_and_the_rest_unchanged(paths, value):
    before: dict[str, object] = {"z": {"y": 1}}
    *_, path = paths
    after = apply(before, [Override(path=path, value=value)])
    found: object = after
    for step in path:
        assert isinstance(found, dict)
        found = found[step]
    assert found == value
    assert before == {"z": {"y": 1}}
    assert after["z"] == {"y": 1}


@given(st.integers(), PATHS)
def test_parsed_override_has_the_path_and_value_it_was_made_of(value, path):
    assert parse_override(f"{'.'.join(path)}={value}") == Override(path=path, value=value)
