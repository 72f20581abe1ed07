"""A job file becomes a checked job, or is refused with all that is wrong."""

import json
import pickle

import pytest
import yaml

from labelmill.config.job import LabelJob
from labelmill.config.loading import load_job
from labelmill.errors import ConfigError
from tests.support.jobs import MINIMAL, GuessOptions, job, merged, options_class, refusal


def test_smallest_job_has_the_documented_defaults(tmp_path):
    assert job(tmp_path).dump() == {
        "task": "guess",
        "model": {
            "path": "models/tiny",
            "revision": None,
            "engine": "auto",
            "precision": "auto",
            "min_agreement": 0.99,
            "trust_remote_code": False,
            "allow_pickle": False,
        },
        "source": {
            "path": ["data/"],
            "format": "auto",
            "columns": {},
            "keep": "all",
            "on_bad_row": "reject",
            "on_bad_shard": "skip",
            "split_rows": "auto",
            "split_bytes": "auto",
        },
        "options": {
            "max_length": None,
            "scores": "best",
            "code": "en",
            "candidates": ["yes", "no"],
            "low": 0.0,
            "high": 1.0,
        },
        "output": {
            "path": "labelled/",
            "format": "parquet",
            "prefix": "",
            "position": False,
            "reject_text": True,
            "max_rejected": 0.01,
        },
        "resources": {
            "runner": "auto",
            "replicas": "auto",
            "gpus_per_replica": "auto",
            "cpus_per_replica": "auto",
            "tokenizers": "auto",
            "microbatch_tokens": "auto",
            "compile": False,
        },
    }


def test_options_are_an_instance_of_the_tasks_own_class(tmp_path):
    options = job(tmp_path, {"options": {"max_length": 9, "candidates": ["a", "b"]}}).options
    assert options == GuessOptions(max_length=9, candidates=("a", "b"))


def test_loaded_job_is_a_plain_label_job_that_pickles(tmp_path):
    loaded = job(tmp_path)
    assert type(loaded) is LabelJob
    assert pickle.loads(pickle.dumps(loaded)) == loaded


def test_dump_is_json_and_loads_again_to_an_equal_job(tmp_path):
    loaded = job(
        tmp_path, {"source": {"keep": ["id"], "split_bytes": "8MiB"}, "options": {"scores": 3}}
    )
    again = job(tmp_path, json.loads(json.dumps(loaded.dump())))
    assert again == loaded


def test_job_is_frozen(tmp_path):
    with pytest.raises(ValueError, match="frozen"):
        job(tmp_path).source.split_rows = 3


@pytest.mark.parametrize("section", ["options", "resources"])
def test_section_with_every_line_commented_out_has_its_defaults(tmp_path, section):
    assert job(tmp_path, {section: None}) == job(tmp_path)


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"source": {"path": ["a", "b"]}}, "source.path", ("a", "b")),
        ({"source": {"split_bytes": "8MiB"}}, "source.split_bytes", 8 << 20),
        ({"source": {"split_bytes": "128 MB"}}, "source.split_bytes", 128_000_000),
        ({"source": {"split_bytes": 1024}}, "source.split_bytes", 1024),
        ({"source": {"keep": "none"}}, "source.keep", "none"),
        ({"source": {"keep": ["a", "b"]}}, "source.keep", ("a", "b")),
        ({"resources": {"gpus_per_replica": 1}}, "resources.gpus_per_replica", 1.0),
        ({"resources": {"gpus_per_replica": 0}}, "resources.gpus_per_replica", 0.0),
        ({"resources": {"cpus_per_replica": 0.5}}, "resources.cpus_per_replica", 0.5),
        ({"output": {"max_rejected": 1}}, "output.max_rejected", 1.0),
        ({"model": {"engine": "openvino"}}, "model.engine", "openvino"),
        ({"model": {"engine": "vllm"}}, "model.engine", "vllm"),
        ({"output": {"max_rejected": 0}}, "output.max_rejected", 0.0),
    ],
)
def test_value_that_may_be_is_taken(tmp_path, changes, name, value):
    section, key = name.split(".")
    assert getattr(getattr(job(tmp_path, changes), section), key) == value


@pytest.mark.parametrize(
    ("source", "on_bad_row"),
    [
        ({}, "reject"),
        ({"keep": "none"}, "null"),
        ({"keep": ["id"]}, "reject"),
        ({"keep": "none", "on_bad_row": "reject"}, "reject"),
        ({"on_bad_row": "null"}, "null"),
        ({"on_bad_row": None}, "null"),
        ({"on_bad_row": "fail"}, "fail"),
    ],
)
def test_on_bad_row_goes_by_keep_unless_it_is_set(tmp_path, source, on_bad_row):
    assert job(tmp_path, {"source": source}).source.on_bad_row == on_bad_row


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("resources.batchsize", 8, "no such setting; did you mean 'microbatch_tokens'?"),
        ("resources.replica", 8, "no such setting; did you mean 'replicas'?"),
        ("resources.Replicas", 8, "no such setting; did you mean 'replicas'?"),
        ("resources.num_gpus", 8, "no such setting; did you mean 'gpus_per_replica'?"),
        ("resources.split_rows", 8, "no such setting; did you mean 'source.split_rows'?"),
        ("max_length", 8, "no such setting; did you mean 'options.max_length'?"),
        ("modle", {}, "no such setting; did you mean 'model'?"),
        (
            "output.zzz",
            8,
            (
                "no such setting; expected one of path, format, prefix, position, reject_text, "
                "max_rejected"
            ),
        ),
        ("options.max_lenght", 8, "no such setting; did you mean 'max_length'?"),
        (
            "model.precision",
            "bf16",
            "input should be 'auto', 'float32', 'bfloat16', 'float16' or 'int8' (got 'bf16')",
        ),
        (
            "model.engine",
            "onnx",
            "input should be 'auto', 'pytorch', 'openvino' or 'vllm' (got 'onnx')",
        ),
        (
            "source.format",
            "xlsx",
            (
                "input should be 'auto', 'parquet', 'jsonl', 'csv', 'tsv', 'arrow', 'webdataset', "
                "'imagefolder' or 'audiofolder' (got 'xlsx')"
            ),
        ),
        ("model.path", "", "input should be text (got ''); it must not be empty"),
        ("model.path", None, "input should be text (got None)"),
        ("model.revision", 1234567, "input should be text or null (got 1234567); put it in quotes"),
        ("model.min_agreement", 1.5, "input should be a number from 0 to 1 (got 1.5)"),
        ("model.min_agreement", float("nan"), "input should be a number from 0 to 1 (got nan)"),
        ("model.allow_pickle", "yes", "input should be true or false (got 'yes')"),
        ("model", "tiny", "input should be a mapping of settings (got 'tiny')"),
        (
            "source.path",
            [],
            "input should be text or a list of text (got []); it must not be empty",
        ),
        (
            "source.path",
            ["a", 3],
            "input should be text or a list of text (got ['a', 3]); put each in quotes",
        ),
        (
            "model.path",
            {"summarize": None},
            "input should be text (got {'summarize': None}); put text with ': ' in it in quotes",
        ),
        ("source.columns.text", 7, "input should be text (got 7); put it in quotes"),
        ("source.columns", ["text"], "input should be a mapping of names to text (got ['text'])"),
        ("source.keep", "id", "input should be 'all', 'none' or a list of text (got 'id')"),
        ("source.keep", ["a", "b", "a"], "the column 'a' is listed twice"),
        ("source.on_bad_row", "skip", "input should be 'reject', 'null' or 'fail' (got 'skip')"),
        ("source.split_rows", 0, "input should be 'auto' or an integer of at least 1 (got 0)"),
        (
            "source.split_rows",
            True,
            "input should be 'auto' or an integer of at least 1 (got True)",
        ),
        (
            "source.split_bytes",
            0,
            "input should be 'auto' or a number of bytes such as 8388608 or '8MiB' (got 0)",
        ),
        (
            "source.split_bytes",
            "8 XB",
            ("input should be 'auto' or a number of bytes such as 8388608 or '8MiB' (got '8 XB')"),
        ),
        (
            "source.split_bytes",
            "1.5.2",
            "'1.5.2' is not a size; write a number of bytes, or such as '8MiB'",
        ),
        (
            "resources.replicas",
            "4",
            (
                "input should be 'auto' or an integer of at least 1 (got '4'); write it "
                "without quotes"
            ),
        ),
        (
            "resources.gpus_per_replica",
            -1,
            "input should be 'auto' or a number of at least 0 (got -1)",
        ),
        (
            "resources.gpus_per_replica",
            1.5,
            "1.5 is neither whole nor a part of one GPU; round it",
        ),
        ("resources.cpus_per_replica", 0, "input should be 'auto' or a number above 0 (got 0)"),
        ("output.prefix", 3, "input should be text (got 3); put it in quotes"),
        ("options.scores", 0, "input should be 'best', 'all' or an integer of at least 1 (got 0)"),
        ("options.high", 13, "13 brings bad luck; take 12"),
        ("options", {"low": 2}, "low is 2.0, above high, which is 1.0; swap them"),
        ("options.code", "EN", "string should match pattern '^[a-z]{2}$' (got 'EN')"),
        ("options.candidates", "a", "input should be a list of text (got 'a')"),
        ("options.candidates", [], "input should be a list of text (got []); it must not be empty"),
        ("task", "gues", "no such task 'gues'; did you mean 'guess'?"),
        ("task", 3, "input should be text (got 3); put it in quotes"),
        ("task", "", "input should be text (got ''); it must not be empty"),
    ],
)
def test_setting_that_is_wrong_is_refused_with_what_would_be_right(tmp_path, name, value, message):
    changes = value
    for key in reversed(name.split(".")):
        changes = {key: changes}
    text = yaml.safe_dump(merged(MINIMAL, changes))
    assert refusal(tmp_path, text) == [f"job.yaml: {name}: {message}"]


def test_wrong_item_of_a_list_is_refused_by_its_place(tmp_path):
    changes = {"options": {"candidates": ["a", 1]}}
    assert refusal(tmp_path, yaml.safe_dump(merged(MINIMAL, changes))) == [
        "job.yaml: options.candidates[1]: input should be text (got 1); put it in quotes"
    ]


def test_section_that_holds_itself_is_refused(tmp_path):
    text = "task: guess\nmodel: {path: a}\nsource: &s {path: *s}\noutput: {path: o}\n"
    (line,) = refusal(tmp_path, text)
    assert line.startswith("job.yaml: source.path: input should be text or a list of text (got {")


def test_long_value_is_shown_cut(tmp_path):
    changes = {"model": {"precision": "x" * 1000}}
    (line,) = refusal(tmp_path, yaml.safe_dump(merged(MINIMAL, changes)))
    assert len(line) < 200


def test_empty_job_is_refused_with_all_that_is_required(tmp_path):
    assert refusal(tmp_path, "{}") == [
        "job.yaml: task: required; set it to text",
        "job.yaml: model.path: required; set it to text",
        "job.yaml: source.path: required; set it to text or a list of text",
        "job.yaml: output.path: required; set it to text",
    ]


def test_all_problems_are_reported_at_once_even_where_the_task_is_unknown(tmp_path):
    text = "task: other\nmodel: {path: a, engine: jax}\nsource: {path: b}\noptions: {any: 1}\n"
    assert refusal(tmp_path, text, "resources.replicas=-1") == [
        "job.yaml: task: no such task 'other'; did you mean 'guess'?",
        (
            "job.yaml: model.engine: input should be 'auto', 'pytorch', 'openvino' or 'vllm' "
            "(got 'jax')"
        ),
        "job.yaml: output.path: required; set it to text",
        "--set: resources.replicas: input should be 'auto' or an integer of at least 1 (got -1)",
    ]


def test_error_of_the_function_that_knows_the_tasks_keeps_its_words(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(MINIMAL | {"task": "x"}), encoding="utf-8")
    with pytest.raises(ConfigError, match="no such task 'x'") as caught:
        load_job(str(path), options_class=options_class)
    assert caught.value.exit_code == 2
