"""Bad input of every kind: no good row is lost, and each bad one is told with place and reason."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from labelmill import verification
from labelmill.cli import group, labelling
from labelmill.errors import ConfigError, InputError, StorageError
from labelmill.ledger.state import State
from labelmill.ledger.status import read_status, rejects_of
from labelmill.storage import open_store
from tests.support import inline
from tests.support.bad_corpus import SHARDS, TOGETHER, Became, differences, lay, what_became
from tests.support.bad_shards import BadShard, row, rows
from tests.support.models import save_tiny, tiny_classifier


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_classifier(str(tmp_path_factory.mktemp("model") / "bert"))


def settings(tmp_path: Path, model: str, **sections: Mapping[str, Any]) -> dict[str, Any]:
    base: dict[str, Any] = {
        "task": "text-classification",
        "model": {"path": model, "precision": "float32"},
        "source": {"path": str(tmp_path / "in"), "split_rows": 100},
        "output": {"path": str(tmp_path / "out"), "max_rejected": 1.0},
    }
    for name, values in sections.items():
        base[name] = base.get(name, {}) | values
    return base


def job(tmp_path: Path, model: str, **sections: Mapping[str, Any]) -> Any:
    return inline.job_of(tmp_path, settings(tmp_path, model, **sections))


def require_verified(output: Path) -> None:
    found = verification.verify(str(output), source=True)
    assert found.ok, found.problems


@pytest.fixture(scope="module")
def corpus(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run over all bad shards together; splits are so small that many end."""
    home = tmp_path_factory.mktemp("corpus")
    lay(home / "in", TOGETHER)
    inline.label(job(home, model, source={"split_rows": 3}))
    return home


@pytest.fixture(scope="module")
def became(corpus: Path) -> Mapping[str, Became]:
    return what_became(corpus / "out")


@pytest.mark.parametrize("shard", TOGETHER, ids=lambda shard: ascii(shard.name)[:40])
def test_bad_shard_among_others_gives_its_good_rows_and_reasons(
    became: Mapping[str, Became], shard: BadShard
) -> None:
    assert differences(shard, became.get(shard.name, Became())) == []


@pytest.mark.parametrize(
    ("allowed", "done", "spoilt", "code"),
    [
        (0.0, True, False, labelling.SPOILT),
        (0.0, False, True, labelling.SPOILT),
        (0.0, False, False, labelling.UNFINISHED),  # what is to come may be good
        (1.0, False, True, labelling.UNFINISHED),  # what was in flight was good
        (1.0, False, False, labelling.UNFINISHED),
        (1.0, True, False, labelling.SPOILT),  # for its damaged shards
    ],
)
def test_exit_code_is_0_only_for_what_is_done(
    corpus: Path, allowed: float, done: bool, spoilt: bool, code: int
) -> None:
    status = read_status(str(corpus / "out"))
    assert labelling.judged(status, allowed, done=done, spoilt=spoilt)[0] == code


def test_bad_shards_together_add_up_verify_and_end_with_4(corpus: Path, model: str) -> None:
    status = read_status(str(corpus / "out"))

    assert status.complete
    assert status.rows_labelled == sum(len(shard.good) for shard in TOGETHER)
    assert status.rows_rejected == sum(len(shard.rejects) for shard in TOGETHER)
    assert status.shards == len(TOGETHER)
    assert status.shards_damaged == sum(bool(shard.breaks) for shard in TOGETHER)
    require_verified(corpus / "out")
    code, why = inline.ended(job(corpus, model, source={"split_rows": 3}))
    assert (code, "shards are damaged" in why) == (4, True)


def test_status_tells_place_and_reason_of_all_that_is_damaged(corpus: Path) -> None:
    listed = CliRunner().invoke(group, ["status", str(corpus / "out"), "--damage"])
    shown = CliRunner().invoke(group, ["status", str(corpus / "out")])

    told = [json.loads(line) for line in listed.output.splitlines()]
    assert listed.exit_code == 0
    assert len(told) == sum(len(shard.breaks) for shard in TOGETHER)
    (page,) = (each for each in told if each["shard"] == "page.parquet")
    assert (page["start"], page["stop"]) == (14, 20)
    assert "CRC" in page["reason"]
    assert shown.exit_code == 0
    assert "'checksum.jsonl.gz', from 175 to its end: gzip: Error -3" in shown.output
    both = CliRunner().invoke(group, ["status", str(corpus / "out"), "--damage", "--rejects"])
    assert both.exit_code == 2


def test_dry_run_over_bad_shards_lists_those_that_cannot_be_opened(
    corpus: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (corpus / "dry").mkdir()
    wanted = settings(corpus, model, output={"path": str(corpus / "dry" / "out")})
    (corpus / "dry" / "job.yaml").write_text(json.dumps(wanted))

    labelling.describe(str(corpus / "dry" / "job.yaml"), (), None, as_json=True)

    told = json.loads(capsys.readouterr().out)
    # The rest of what is damaged is seen only by who reads that far.
    unread = {shard.name for shard in TOGETHER if shard.breaks and not shard.good}
    of_lines = {name for name in unread if not name.endswith(("parquet", "parq", "pq"))}
    assert told["shards"] == len(TOGETHER)
    documents = {"a-document.json", "an-array.json"}  # told as such; their lines are bad rows
    found = set(told["unreadable"]) - documents
    assert unread - of_lines - {"encrypted-columns.parquet"} <= found <= unread
    assert set(told["unreadable"]) & of_lines  # a sample
    assert not (corpus / "dry" / "out").exists()

    labelling.describe(str(corpus / "dry" / "job.yaml"), (), None, as_json=False)
    assert "cannot be opened: zeros.parquet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sections", "lines_alone"),
    [
        ({"output": {"format": "jsonl"}}, False),
        ({"output": {"format": "jsonl"}, "source": {"on_bad_row": "null"}}, True),
        ({"source": {"keep": "none"}, "output": {"position": True}}, False),
    ],
    ids=["to lines", "lines to lines, null", "keep none"],
)
def test_bad_shards_in_other_forms_of_output_give_the_same_rows(
    tmp_path: Path, model: str, sections: dict[str, dict[str, Any]], lines_alone: bool
) -> None:
    everything = sections.get("source", {}).get("keep") != "none" and not lines_alone
    shards = [
        shard
        for shard in TOGETHER
        if (everything or not shard.kept_only)
        and not (lines_alone and shard.name.lower().endswith((".parquet", ".parq", ".pq")))
    ]
    lay(tmp_path / "in", shards)

    inline.label(job(tmp_path, model, **sections))

    found = what_became(tmp_path / "out")
    ids = "keep" not in sections.get("source", {})
    told = {s.name: differences(s, found.get(s.name, Became()), ids=ids) for s in shards}
    assert {name: each for name, each in told.items() if each} == {}
    require_verified(tmp_path / "out")


@pytest.mark.parametrize(
    "shard", [shard for shard in SHARDS if shard.alone], ids=lambda shard: shard.name
)
def test_bad_shard_alone_gives_its_reasons(tmp_path: Path, model: str, shard: BadShard) -> None:
    lay(tmp_path / "in", [shard])

    status = inline.label(job(tmp_path, model))

    assert status.complete
    assert differences(shard, what_became(tmp_path / "out")[shard.name]) == []
    require_verified(tmp_path / "out")


@pytest.mark.parametrize(
    "data",
    [
        b"hello\nworld\n",
        b"[1]\n[2]\n",
        b'{"text": null}\n{"text": null}\n',
        b'{"text": 1}\n{"text": [2]}\n',
        b"\0\n\xff\n",
    ],
)
@pytest.mark.parametrize("sections", [{}, {"source": {"keep": ["text"]}}], ids=["all", "named"])
def test_source_of_bad_rows_alone_rejects_them_all_and_ends_with_4(
    tmp_path: Path, model: str, data: bytes, sections: dict[str, dict[str, Any]]
) -> None:
    lay(tmp_path / "in", [BadShard(name="a.jsonl", data=data)])

    status = inline.label(job(tmp_path, model, **sections))

    assert (status.complete, status.rows_read, status.rows_rejected) == (True, 2, 2)
    places = [placed.reject.position for placed in rejects_of(str(tmp_path / "out"))]
    assert places == [0, data.index(b"\n") + 1]
    require_verified(tmp_path / "out")
    limited = job(tmp_path, model, output={"max_rejected": 0.99}, **sections)
    assert inline.ended(limited) == (
        4,
        "2 of 2 rows (100.00%) were rejected, output.max_rejected allows 99.00%",
    )


@pytest.mark.parametrize("part_format", ["parquet", "jsonl"])
@pytest.mark.parametrize("keep", ["all", "none", ["id"]], ids=str)
def test_source_of_empty_files_is_whole_and_goes_on_when_rows_come(
    tmp_path: Path, model: str, part_format: str, keep: object
) -> None:
    empty = [BadShard(name=name, data=b"") for name in ("a.jsonl", "b.ndjson", "c.JSON")]
    lay(tmp_path / "in", [*empty, BadShard(name="d.jsonl", data=b"\xef\xbb\xbf \n\n")])
    wanted = job(tmp_path, model, source={"keep": keep}, output={"format": part_format})

    status = inline.label(wanted)

    assert (status.complete, status.rows_read, status.splits) == (True, 0, 4)
    assert inline.ended(wanted) == (0, "")
    lay(tmp_path / "in", [BadShard(name="e.jsonl", data=rows(2))])
    status = inline.label(wanted)
    assert (status.complete, status.rows_labelled, status.rows_rejected) == (True, 2, 0)
    (part,) = (tmp_path / "out").glob("e.jsonl-*")
    data = pq.read_table(part).to_pylist() if part_format == "parquet" else []
    written = str(data) if data else part.read_text()
    assert (keep == "none") == ('"id": 1' not in written)
    require_verified(tmp_path / "out")


def test_source_that_cannot_be_opened_at_all_ends_with_2_and_leaves_nothing(
    tmp_path: Path, model: str
) -> None:
    shards = [s for s in TOGETHER if s.name in ("is-plain.jsonl.gz", "zeros.parquet", "empty.pq")]
    lay(tmp_path / "in", shards)

    with pytest.raises(
        InputError, match=r"none of 3 shards.*is-plain\.jsonl\.gz.*not gzip"
    ) as told:
        inline.label(job(tmp_path, model))

    assert told.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_source_whose_shards_all_break_off_gives_what_can_be_read_and_ends_with_4(
    tmp_path: Path, model: str
) -> None:
    shards = [s for s in TOGETHER if s.name.startswith(("truncated.jsonl", "garbage-after"))]
    lay(tmp_path / "in", shards)

    status = inline.label(job(tmp_path, model))

    assert status.shards_damaged == status.shards == 8
    assert status.rows_labelled == sum(len(shard.good) for shard in shards) > 8
    require_verified(tmp_path / "out")
    assert inline.ended(job(tmp_path, model))[0] == 4


def test_source_of_foreign_files_ends_with_2_naming_one(tmp_path: Path, model: str) -> None:
    names = ("README.md", "a.xlsx", "b.jsonl.tmp", "c.parquet.crc", "_SUCCESS", ".hidden.jsonl")
    lay(tmp_path / "in", [BadShard(name=name, data=rows(1)) for name in names])

    with pytest.raises(InputError, match=r"without shards.*4 other files.*README\.md") as told:
        inline.label(job(tmp_path, model))

    assert told.value.exit_code == 2


def test_links_hidden_and_foreign_files_and_folders_named_like_shards(
    tmp_path: Path, model: str
) -> None:
    home = tmp_path / "in"
    lay(home, [BadShard(name="day.jsonl/a.jsonl", data=rows(2))])
    lay(tmp_path / "elsewhere", [BadShard(name="far.jsonl", data=rows(3, 2))])
    lay(home, [BadShard(name=f"{n}/x.jsonl", data=rows(1)) for n in (".git", "_tmp", "a/.b")])
    (home / "empty.parquet").mkdir()
    (home / "notes.txt").write_text("no shard")
    (home / "link.jsonl").symlink_to(tmp_path / "elsewhere" / "far.jsonl")
    (home / "tree").symlink_to(tmp_path / "elsewhere")
    (home / "loop").symlink_to(home)
    os.mkfifo(home / "pipe.jsonl")

    status = inline.label(job(tmp_path, model))

    assert (status.complete, status.rows_labelled) == (True, 8)
    assert set(what_became(tmp_path / "out")) == {
        "day.jsonl/a.jsonl",
        "link.jsonl",
        "tree/far.jsonl",
    }
    require_verified(tmp_path / "out")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["n" * 240 + ".jsonl"], "too long for its parts: expected at most 238 bytes"),
        (["a.jsonl", "a.jsonl-00000.parquet/b.jsonl"], "has the name of a part of shard 'a.jsonl'"),
    ],
)
def test_shard_names_that_parts_cannot_have_are_refused_before_anything_is_written(
    tmp_path: Path, model: str, names: list[str], told: str
) -> None:
    lay(tmp_path / "in", [BadShard(name=name, data=rows(1)) for name in names])

    with pytest.raises(InputError, match=told):
        inline.plan_of(job(tmp_path, model))
    with pytest.raises(InputError, match=told):
        inline.label(job(tmp_path, model))

    assert not (tmp_path / "out").exists()


def test_shard_that_cannot_be_reached_is_told_by_name(tmp_path: Path, model: str) -> None:
    lay(tmp_path / "in", [BadShard(name="a.jsonl", data=rows(1))])
    (tmp_path / "in" / "b.jsonl").symlink_to("b.jsonl")

    with pytest.raises(StorageError, match=r"b\.jsonl.*symbolic link") as told:
        inline.label(job(tmp_path, model))

    assert told.value.exit_code == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["", "a.jsonl"])
def test_source_that_may_not_be_read_is_no_damage(tmp_path: Path, model: str, name: str) -> None:
    lay(tmp_path / "in", [BadShard(name="a.jsonl", data=rows(1))])
    (tmp_path / "in" / name).chmod(0)

    with pytest.raises(StorageError, match="access denied") as told:
        inline.label(job(tmp_path, model))

    (tmp_path / "in" / name).chmod(0o700)
    assert told.value.exit_code == 1
    assert inline.label(job(tmp_path, model)).complete


def test_output_below_a_file_is_told_by_name(tmp_path: Path, model: str) -> None:
    lay(tmp_path / "in", [BadShard(name="a.jsonl", data=rows(1))])
    (tmp_path / "file").write_text("not a directory")

    with pytest.raises(ConfigError, match=r"output.path: '.*file/out' is below '.*file', which"):
        inline.label(job(tmp_path, model, output={"path": str(tmp_path / "file" / "out")}))
    with pytest.raises(ConfigError, match=r"output.path: '.*file' is a file, expected a directory"):
        inline.label(job(tmp_path, model, output={"path": str(tmp_path / "file")}))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_output_that_may_not_be_written_is_told_by_name(tmp_path: Path, model: str) -> None:
    lay(tmp_path / "in", [BadShard(name="a.jsonl", data=rows(1))])
    (tmp_path / "locked").mkdir(mode=0o500)

    with pytest.raises(ConfigError, match=r"output.path: .*locked/out' cannot be written, as"):
        inline.label(job(tmp_path, model, output={"path": str(tmp_path / "locked" / "out")}))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_full_disk_fails_the_job_and_it_goes_on_when_there_is_room(
    tmp_path: Path, model: str, small_disk: Path
) -> None:
    lay(tmp_path / "in", [BadShard(name="a.jsonl", data=rows(60, pad="x" * 3000))])
    wanted = {"source": {"split_rows": 5}, "output": {"path": str(small_disk / "out")}}
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes((1 << 20) - 80_000))

    with pytest.raises(StorageError, match="No space left") as told:
        inline.label(job(tmp_path, model, **wanted))

    assert told.value.exit_code == 1
    assert not read_status(str(small_disk / "out")).complete
    ballast.unlink()
    status = inline.label(job(tmp_path, model, **wanted))
    assert (status.complete, status.rows_labelled) == (True, 60)
    assert what_became(small_disk / "out")["a.jsonl"].good == list(range(60))
    require_verified(small_disk / "out")


_MEASURED = """
import sys
from pathlib import Path
from tests.support import inline
inline.label_file(Path(sys.argv[1]))
status = dict(line.split(":") for line in open("/proc/self/status") if ":" in line[:20])
print(int(status["VmHWM"].split()[0]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize(("kind", "keep"), [("jsonl", "all"), ("parquet", ["id"])])
def test_text_of_60_megabytes_is_a_row_like_others(
    tmp_path: Path, model: str, kind: str, keep: object
) -> None:
    texts = ["the cat sat", "the quick brown fox, " * 3_000_000, "never again"]
    (tmp_path / "in").mkdir()
    if kind == "jsonl":
        lines = b"".join(row(n, text=text) + b"\n" for n, text in enumerate(texts))
        (tmp_path / "in" / "a.jsonl").write_bytes(lines)
    else:
        pq.write_table(pa.table({"id": [0, 1, 2], "text": texts}), tmp_path / "in" / "a.parquet")
    job(tmp_path, model, source={"keep": keep})

    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(tmp_path / "job.yaml")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    parts = sorted((tmp_path / "out").glob("*.parquet"))
    found = [each for part in parts for each in pq.read_table(part).to_pylist()]
    assert [each["id"] for each in found] == [0, 1, 2]
    assert all(each.get("text", text) == text for each, text in zip(found, texts, strict=True))
    assert found[1]["label"]
    assert int(done.stdout) < 1600  # MiB, the libraries among them; a text of 60 MB is 60 MiB


def test_text_that_begins_after_a_megabyte_of_nulls_is_kept_as_text(
    tmp_path: Path, model: str
) -> None:
    nulls = b'{"text": null, "pad": "' + b"x" * 4000 + b'"}\n'
    data = nulls * 300 + b'{"text": "the cat", "pad": ""}\n'
    lay(tmp_path / "in", [BadShard(name="a.jsonl", data=data)])

    status = inline.label(job(tmp_path, model))

    assert (status.rows_rejected, status.rows_labelled) == (300, 1)
    (part,) = (p for p in (tmp_path / "out").glob("*.parquet") if pq.read_metadata(p).num_rows)
    (found,) = pq.read_table(part).to_pylist()
    assert (found["text"], found["pad"], found["extra_json"]) == ("the cat", "", None)


@pytest.mark.parametrize("levels", [31, 33, 70, 199])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a": ', "}")])
def test_value_nested_deep_is_kept_whole(
    tmp_path: Path, model: str, levels: int, opening: str, closing: str
) -> None:
    value = opening * levels + "1" + closing * levels
    data = f'{{"text": "the cat", "deep": {value}}}\n{{"text": "sat"}}\n'.encode()
    lay(tmp_path / "in", [BadShard(name="a.jsonl", data=data)])

    status = inline.label(job(tmp_path, model))

    assert status.rows_labelled == 2
    found = pq.read_table(tmp_path / "out" / "a.jsonl-00000.parquet")["deep"].to_pylist()
    assert opened(found) == [json.loads(value), None]


def test_members_of_objects_that_disagree_are_kept_as_json_text(tmp_path: Path, model: str) -> None:
    lay(
        tmp_path / "in",
        [BadShard(name="a.jsonl", data=rows(1, s={"x": 1}) + rows(1, 1, s={"x": "q"}))],
    )

    status = inline.label(job(tmp_path, model))

    assert (status.rows_labelled, status.rows_rejected) == (2, 0)
    found = pq.read_table(tmp_path / "out" / "a.jsonl-00000.parquet")["s"].to_pylist()
    assert found == [{"x": "1"}, {"x": '"q"'}]


def test_members_that_disagree_are_kept_beside_shards_of_tables(tmp_path: Path, model: str) -> None:
    lay(
        tmp_path / "in",
        [
            BadShard(name="a.jsonl", data=rows(1, s={"x": 1}) + rows(1, 1, s={"x": "q"})),
            BadShard(name="b.csv", data=b"text\nsat\n"),
        ],
    )

    status = inline.label(job(tmp_path, model))

    assert (status.rows_labelled, status.rows_rejected) == (3, 0)
    found = pq.read_table(tmp_path / "out" / "a.jsonl-00000.parquet")["s"].to_pylist()
    assert found == [{"x": "1"}, {"x": '"q"'}]


def test_each_replica_compares_the_first_split_that_it_has_rows_of(
    tmp_path: Path, model: str
) -> None:
    data = b'{"text": null}\n' * 100 + rows(300)
    lay(tmp_path / "in", [BadShard(name="a.jsonl", data=data)])
    wanted = settings(tmp_path, model)
    wanted["model"] |= {"precision": "bfloat16", "engine": "pytorch"}
    wanted["source"] |= {"split_rows": 100}
    job = inline.job_of(tmp_path, wanted)

    inline.label(job, splits=2)  # by one replica, which had nothing to compare in the first split
    inline.label(job)  # by another

    entries = State(open_store(job.output.path)).entries()
    compared = {entry["index"]: entry["agreement"] is not None for entry in entries}
    assert list(dict(sorted(compared.items())).values()) == [False, True, True, False]


def test_self_check_compares_rows_that_get_a_label(tmp_path: Path) -> None:
    checkpoint = save_tiny(tmp_path / "model", "bert", "AutoModelForMaskedLM")
    texts = ["the [MASK] sat" if place % 2 else "no mask" for place in range(127)]
    data = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)
    lay(tmp_path / "in", [BadShard(name="a.jsonl", data=data)])
    wanted = settings(tmp_path, str(checkpoint)) | {"task": "fill-mask"}
    wanted["model"] |= {"precision": "bfloat16", "engine": "pytorch"}

    status = inline.label(inline.job_of(tmp_path, wanted))

    (found,) = status.agreement.values()
    assert (status.rows_labelled, status.rows_rejected) == (63, 64)
    assert found["rows"] == 50  # of the first split's 100


@pytest.mark.parametrize(("keep", "rejected"), [("all", 1), ("none", 0), (["id"], 0)])
def test_name_that_is_not_utf8_matters_only_where_all_fields_are_kept(
    tmp_path: Path, model: str, keep: object, rejected: int
) -> None:
    data = b'{"id": 0, "text": "a", "n\\ud800": 1}\n' + rows(1, 1)
    lay(tmp_path / "in", [BadShard(name="a.jsonl", data=data)])

    status = inline.label(job(tmp_path, model, source={"keep": keep}))

    assert (status.rows_labelled, status.rows_rejected) == (2 - rejected, rejected)


def opened(value: Any) -> Any:
    """The value with JSON text inside it read."""
    if isinstance(value, str):
        return json.loads(value)
    if isinstance(value, dict):
        return {name: opened(inner) for name, inner in value.items()}
    return [opened(inner) for inner in value] if isinstance(value, list) else value


def test_column_that_is_read_from_no_shard_is_refused(tmp_path: Path, model: str) -> None:
    lay(tmp_path / "in", [BadShard(name="a.jsonl", data=b'{"id": 1}\n')])

    with pytest.raises(ConfigError, match="no shard has a column 'text'; there are 'id'"):
        inline.label(job(tmp_path, model))
