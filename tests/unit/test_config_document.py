"""YAML as a mapping of settings, without the traps of YAML."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelmill.config.document import parse_mapping, parse_value
from labelmill.config.loading import load_job
from labelmill.errors import ConfigError
from tests.support.jobs import MINIMAL, options_class, refusal


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", "the file is empty; a job file has at least task, model, source and output"),
        (
            b"# nothing yet\n",
            "the file is empty; a job file has at least task, model, source and output",
        ),
        (b"text", "expected settings such as 'task: ...', got 'text'"),
        (b"- task", "expected settings such as 'task: ...', got ['task']"),
        (
            b"task: a\nmodel: {}\ntask: b\n",
            "line 3, column 1: the key 'task' is given twice; keep one",
        ),
        (
            b"model:\n  path: a\n  'path': b\n",
            "line 3, column 3: the key 'path' is given twice; keep one",
        ),
        (b"on: 1\n", "line 1, column 1: the key 'on' is not text; put it in quotes"),
        (b"a: {1: b}\n", "line 1, column 5: the key '1' is not text; put it in quotes"),
        (b"? {a: b}\n: c\n", "line 1, column 3: the key here is not text; put it in quotes"),
        (
            b"model:\n\tpath: a\n",
            (
                "line 2, column 1: found character '\\t' that cannot start any token; "
                "indent with spaces"
            ),
        ),
        (b"a: [1, 2\n", "line 2, column 1: expected ',' or ']', but got '<stream end>'"),
        (b"a: b: c\n", "line 1, column 5: mapping values are not allowed here"),
        (
            b"a: 1\n--- \nb: 2\n",
            (
                "line 2, column 1: expected a single document in the stream, but found another "
                "document"
            ),
        ),
        (
            b"a: *b\n",
            "line 1, column 4: found undefined alias 'b'; put text that begins so in quotes",
        ),
        (
            b"a: *.parquet\n",
            (
                "line 1, column 5: expected alphabetic or numeric character, but found '.'; "
                "put text that begins so in quotes"
            ),
        ),
        (
            b"a: @b\n",
            (
                "line 1, column 4: found character '@' that cannot start any token; "
                "put text that begins so in quotes"
            ),
        ),
        (
            b'a: "\\ud83d"\n',
            "line 1, column 4: '\\ud83d' holds half of a character; write all of it",
        ),
        (b"a: " + b"[" * 2000, "too many brackets inside one another"),
        (b"x: 1\na: caf\xe9\n", "line 2, column 7: not UTF-8 (byte 0xe9); save the file as UTF-8"),
        (b"\xff\xfea\x00", "line 1, column 1: not UTF-8 (byte 0xff); save the file as UTF-8"),
        (b"a: 1\nb: x\x01\n", "line 2, column 5: special characters are not allowed"),
        (
            b"a: 0b_\n",
            (
                "not a value that YAML knows: invalid literal for int() with base 2: ''; "
                "put it in quotes"
            ),
        ),
        (b"a: !!bool b\n", "not a value that YAML knows: 'b'; put it in quotes"),
        (
            b"a: !!timestamp b\n",
            (
                "line 1, column 4: could not determine a constructor for the tag "
                "'tag:yaml.org,2002:timestamp'"
            ),
        ),
        (
            b"a: !!python/name:os.system x\n",
            (
                "line 1, column 4: could not determine a constructor for the tag "
                "'tag:yaml.org,2002:python/name:os.system'"
            ),
        ),
    ],
)
def test_document_that_is_no_mapping_of_settings_is_refused_with_its_place(data, line):
    with pytest.raises(ConfigError) as caught:
        parse_mapping(data, "job.yaml")
    assert str(caught.value) == f"job.yaml: {line}"


def test_document_with_byte_order_mark_and_windows_line_ends_is_read():
    assert parse_mapping(b"\xef\xbb\xbfa: 1\r\nb: caf\xc3\xa9\r\n", "job.yaml") == {
        "a": 1,
        "b": "caf\xe9",
    }


def test_document_with_merged_keys_is_read_and_overriding_one_is_no_duplicate():
    data = b"base: &base {a: 1, b: 2}\nmine:\n  <<: *base\n  b: 3\n"
    assert parse_mapping(data, "job.yaml")["mine"] == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-01-02", "2026-01-02"),
        ("2026-13-45", "2026-13-45"),
        ("1e-3", 0.001),
        ("-2E3", -2000.0),
        ("1e", "1e"),
        ("12e4f", "12e4f"),
        ("8_000", 8000),
        ("null", None),
        ("", None),
        ("[a, {b: 1}]", ["a", {"b": 1}]),
        ("'7'", "7"),
        (r'"\ud83d\ude00"', "\U0001f600"),  # as json.dumps writes it
    ],
)
def test_value_is_what_its_looks_say(text, value):
    assert parse_value(text, "--set") == value


@given(st.dictionaries(st.text("abc", min_size=1), st.integers() | st.booleans() | st.none()))
def test_mapping_in_flow_style_comes_back_as_it_was(settings):
    shown = {True: "true", False: "false", None: "null"}
    pairs = ", ".join(f'"{k}": {v if type(v) is int else shown[v]}' for k, v in settings.items())
    assert parse_mapping(f"{{{pairs}}}".encode(), "job.yaml") == settings


def test_job_file_that_is_missing_is_refused_by_name(tmp_path: Path):
    path = str(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError) as caught:
        load_job(path, options_class=options_class)
    assert str(caught.value) == f"{path}: no such job file"


def test_job_file_that_is_a_directory_is_refused_by_name(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_job(str(tmp_path), options_class=options_class)


def test_job_file_is_found_from_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    lines = [f"{key}: {value}" for key, value in MINIMAL.items()]
    Path("job.yaml").write_text("\n".join(lines), encoding="utf-8")
    assert load_job("job.yaml", options_class=options_class).source.path == ("data/",)


def test_syntax_error_of_a_job_file_names_the_file(tmp_path: Path):
    assert refusal(tmp_path, "task: [") == [
        "job.yaml: line 1, column 8: expected the node content, but found '<stream end>'"
    ]
