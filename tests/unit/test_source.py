"""Which files are shards, what their names are, and what is refused."""

import os
import uuid
from pathlib import Path

import pytest

from labelmill.errors import ConfigError, InputError
from labelmill.source import (
    Listing,
    changed,
    find_formats,
    list_shards,
    recheck,
    refuse_overlap,
)
from labelmill.storage import open_store

NAMES = [
    "plain.jsonl",
    "with space.parquet",
    "\u00fcn\u00ef/\u4e2d.jsonl",
    "new\nline.jsonl",
    "a#b%20c?d.jsonl",
    "-rf.jsonl",
    "LOUD.JSONL.GZ",
    "star*.jsonl",
]


def fill(root: Path, *names: str) -> Path:
    for name in names:
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"{}\n")
    return root


def names(listing: Listing) -> list[str]:
    return [shard.path for shard in listing.shards]


def test_directory_gives_its_shards_at_all_levels_sorted(tmp_path: Path) -> None:
    fill(tmp_path, "b.jsonl", "2026/a.jsonl.gz", "2026/01/c.parquet", "a.ndjson")
    listing = list_shards([f"{tmp_path}/"])

    assert names(listing) == ["2026/01/c.parquet", "2026/a.jsonl.gz", "a.ndjson", "b.jsonl"]
    assert [shard.format for shard in listing.shards] == ["parquet", "jsonl", "jsonl", "jsonl"]
    assert listing.shards[3].url == str(tmp_path / "b.jsonl")
    assert listing.shards[3].size == 3
    assert listing.shards[3].version == str((tmp_path / "b.jsonl").stat().st_mtime_ns)
    assert listing.foreign == ()


def test_empty_files_are_shards(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    assert list_shards([str(tmp_path)]).shards[0].size == 0


def test_hidden_names_below_the_root_are_passed_over_and_foreign_ones_told(tmp_path: Path) -> None:
    root = fill(tmp_path / "_root", "a.jsonl", "_b.jsonl", ".c/d.jsonl", "e/_f/g.jsonl")
    fill(root, "README.md", "e/data.csv.bak", "_SUCCESS", ".hidden")

    listing = list_shards([str(root)])
    assert names(listing) == ["a.jsonl"]
    assert listing.foreign == (str(root / "README.md"), str(root / "e/data.csv.bak"))


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_found_in_a_directory_and_by_itself(tmp_path: Path, name: str) -> None:
    fill(tmp_path, name)
    whole = list_shards([str(tmp_path)])
    single = list_shards([str(tmp_path / name)])

    assert names(whole) == [name]
    assert names(single) == [name.rpartition("/")[2]]
    assert single.shards[0].url == whole.shards[0].url == str(tmp_path / name)


def test_name_that_is_not_utf8_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"bad\xff.jsonl")).write_bytes(b"{}\n")
    with pytest.raises(InputError, match=r"bad\\udcff.jsonl.*not UTF-8"):
        list_shards([str(tmp_path)])


def test_foreign_name_that_is_not_utf8_can_be_printed(tmp_path: Path) -> None:
    fill(tmp_path, "a.jsonl")
    (tmp_path / os.fsdecode(b"bad\xff.txt")).touch()
    assert list_shards([str(tmp_path)]).foreign[0].encode().endswith(rb"bad\udcff.txt")


def test_glob_is_named_from_its_part_without_magic(tmp_path: Path) -> None:
    fill(tmp_path, "2025/a.jsonl", "2026/a.jsonl", "2026/b/c.jsonl", "2026/notes.txt", "x.jsonl")

    assert names(list_shards([f"{tmp_path}/202?/*.jsonl"])) == ["2025/a.jsonl", "2026/a.jsonl"]
    assert names(list_shards([f"{tmp_path}/2026/**/*.jsonl"])) == ["a.jsonl", "b/c.jsonl"]
    assert names(list_shards([f"{tmp_path}/202[67]/**"])) == ["2026/a.jsonl", "2026/b/c.jsonl"]
    assert list_shards([f"{tmp_path}/2026/*"]).foreign == (str(tmp_path / "2026/notes.txt"),)


def test_brackets_in_a_real_name_are_taken_literally(tmp_path: Path) -> None:
    fill(tmp_path, "[ab]/x[1].jsonl", "a/y.jsonl", "x1.jsonl")

    assert names(list_shards([f"{tmp_path}/[ab]"])) == ["x[1].jsonl"]
    assert names(list_shards([f"{tmp_path}/[ab]/x[1].jsonl"])) == ["x[1].jsonl"]
    assert names(list_shards([f"{tmp_path}/[ab]/*.jsonl"])) == ["x[1].jsonl"]
    assert names(list_shards([f"{tmp_path}/x[1].jsonl"])) == ["x1.jsonl"]


def test_relative_and_home_paths_are_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "in/a.jsonl")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    wanted = str(tmp_path / "in" / "a.jsonl")
    for path in ("in", "./in/../in/", "~/in", "in/*", f"file://{tmp_path}/in"):
        assert [shard.url for shard in list_shards([path]).shards] == [wanted]


def test_memory_urls_are_listed_as_directories_files_and_globs() -> None:
    url = f"memory://{uuid.uuid4().hex}"
    for name in ("a/x.jsonl", "a/y.txt", "b/z.parquet", "_c/w.jsonl"):
        open_store(url).create(name, b"{}\n")

    assert names(list_shards([url])) == ["a/x.jsonl", "b/z.parquet"]
    assert list_shards([url]).foreign == (f"{url}/a/y.txt",)
    assert names(list_shards([f"{url}/a/x.jsonl"])) == ["x.jsonl"]
    assert names(list_shards([f"{url}/*/*.jsonl"])) == ["a/x.jsonl"]
    recheck(list_shards([url]).shards[0])


def test_given_format_takes_any_named_file_but_only_its_own_in_a_directory(tmp_path: Path) -> None:
    fill(tmp_path, "part-0", "b.log", "c.parquet", "d.jsonl")

    assert names(list_shards([f"{tmp_path}/part-0"], "jsonl")) == ["part-0"]
    assert names(list_shards([f"{tmp_path}/*-0"], "jsonl")) == ["part-0"]
    listing = list_shards([str(tmp_path)], "jsonl")
    assert names(listing) == ["d.jsonl"]
    assert len(listing.foreign) == 3


def test_single_file_of_unknown_suffix_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "b.log")
    with pytest.raises(InputError, match=r"b\.log' ends in none of .*\.jsonl, .*source\.format"):
        list_shards([f"{tmp_path}/b.log"])


def test_hidden_file_named_itself_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "_b.jsonl")
    with pytest.raises(InputError, match="passed over"):
        list_shards([f"{tmp_path}/_b.jsonl"])


def test_unknown_format_names_the_near_miss(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such format: 'josnl'; did you mean 'jsonl'"):
        list_shards([str(fill(tmp_path, "a.jsonl"))], "josnl")


def test_missing_path_names_the_first_missing_part_and_the_near_miss(tmp_path: Path) -> None:
    fill(tmp_path, "reviews/a.jsonl")
    with pytest.raises(InputError, match=r"no 'review' in '.*'; did you mean 'reviews'\?"):
        list_shards([f"{tmp_path}/review/deep/a.jsonl"])
    with pytest.raises(InputError, match=r"no 'review' in '.*'; did you mean 'reviews'\?"):
        list_shards([f"{tmp_path}/review/*.jsonl"])
    with pytest.raises(InputError, match=r"no file below '.*reviews' matches '\*\.json'"):
        list_shards([f"{tmp_path}/reviews/*.json"])


def test_missing_remote_path_is_refused() -> None:
    url = f"memory://{uuid.uuid4().hex}"
    open_store(url).create("reviews/a.jsonl", b"{}\n")
    with pytest.raises(InputError, match=r"did you mean 'reviews'\?"):
        list_shards([f"{url}/review"])


def test_glob_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no valid glob"):
        list_shards([f"{fill(tmp_path, 'a.jsonl')}/a**.jsonl"])


def test_source_without_shards_says_what_was_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"without shards: .*expected .*\.parquet.*, found none"):
        list_shards([str(tmp_path)])
    with pytest.raises(InputError, match=r"found 1 other files, such as '.*/x\.txt'"):
        list_shards([str(fill(tmp_path, "x.txt"))])
    with pytest.raises(InputError, match="empty list"):
        list_shards([])


def test_two_roots_with_the_same_shard_path_are_refused_naming_both(tmp_path: Path) -> None:
    fill(tmp_path, "one/a.jsonl", "two/a.jsonl")
    with pytest.raises(InputError, match=r"same path 'a\.jsonl': '.*one/a.*' and '.*two/a"):
        list_shards([f"{tmp_path}/one", f"{tmp_path}/two"])


def test_one_file_under_two_paths_is_refused_but_named_twice_is_once(tmp_path: Path) -> None:
    fill(tmp_path, "one/a.jsonl", "one/b.jsonl")
    with pytest.raises(InputError, match=r"twice, as 'one/a\.jsonl' and as 'a\.jsonl'"):
        list_shards([str(tmp_path), f"{tmp_path}/one/a.jsonl"])
    twice = list_shards([f"{tmp_path}/one/*.jsonl", f"{tmp_path}/one/a*", f"{tmp_path}/one"])
    assert names(twice) == ["a.jsonl", "b.jsonl"]


def test_one_file_reached_through_a_link_is_in_the_source_twice(tmp_path: Path) -> None:
    fill(tmp_path, "one/deep/a.jsonl")
    (tmp_path / "link").symlink_to(tmp_path / "one")
    with pytest.raises(InputError, match=r"twice, as 'deep/a\.jsonl' and as 'a\.jsonl'"):
        list_shards([f"{tmp_path}/one", f"{tmp_path}/link/deep"])


@pytest.mark.parametrize("link", ["latest.jsonl", "copy"])
def test_link_to_another_shard_is_in_the_source_twice(tmp_path: Path, link: str) -> None:
    fill(tmp_path, "one/a.jsonl")
    target = tmp_path / "one" / "a.jsonl" if link.endswith(".jsonl") else tmp_path / "one"
    (tmp_path / link).symlink_to(target)
    with pytest.raises(InputError, match=r"'one/a\.jsonl' and as '(latest|copy/a)\.jsonl'"):
        list_shards([str(tmp_path)])


def test_foreign_file_of_one_path_may_be_a_shard_of_another(tmp_path: Path) -> None:
    fill(tmp_path, "a.jsonl", "b.log")
    listing = list_shards([str(tmp_path), f"{tmp_path}/b.log"], "jsonl")
    assert (names(listing), listing.foreign) == (["a.jsonl", "b.log"], ())


def test_symlinks_are_followed_and_loops_end(tmp_path: Path) -> None:
    fill(tmp_path, "elsewhere/a.jsonl", "in/b.jsonl")
    (tmp_path / "in" / "link.jsonl").symlink_to(tmp_path / "elsewhere" / "a.jsonl")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")

    found = names(list_shards([f"{tmp_path}/in"]))
    assert found == ["b.jsonl", "folder/a.jsonl", "link.jsonl"]
    assert names(list_shards([f"{tmp_path}/in/*/a.jsonl"])) == ["folder/a.jsonl"]


def test_symlink_to_nothing_is_refused_by_name(tmp_path: Path) -> None:
    fill(tmp_path, "a.jsonl")
    (tmp_path / "lost.jsonl").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=r"lost\.jsonl' is a symbolic link to nothing"):
        list_shards([str(tmp_path)])


def test_recheck_tells_what_changed(tmp_path: Path) -> None:
    fill(tmp_path, "a.jsonl")
    shard = list_shards([str(tmp_path)]).shards[0]
    assert changed(shard) is None
    recheck(shard)

    os.utime(tmp_path / "a.jsonl", ns=(1, 1))
    with pytest.raises(InputError, match=r"'a\.jsonl' changed since .*version .* is '1'"):
        recheck(shard)
    (tmp_path / "a.jsonl").write_bytes(b"{}\n{}\n")
    with pytest.raises(InputError, match="size was 3 bytes, is 6"):
        recheck(shard)
    (tmp_path / "a.jsonl").unlink()
    with pytest.raises(InputError, match="is gone"):
        recheck(shard)


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("data", "data"),
        ("data", "data/out"),
        ("data", "data/_out"),
        ("data", "link/out"),
        ("data/a.jsonl", "data"),
        ("data", "."),
        ("data/*.jsonl", "data"),
        ("data/**/*.parquet", "data/out"),
        ("data/*/*.jsonl", "data/out"),
        ("data/o*/**", "data/out/deep/er"),
    ],
)
def test_overlap_of_source_and_output_is_refused(tmp_path: Path, source: str, output: str) -> None:
    fill(tmp_path, "data/a.jsonl", "data/sub/b.jsonl", "data/old/c.parquet")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with pytest.raises(ConfigError, match="lies inside"):
        refuse_overlap([f"{tmp_path}/{source}"], f"{tmp_path}/{output}")


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("data", "out"),
        ("data", "data-out"),
        ("data/a.jsonl", "data/out"),
        ("data/*.jsonl", "data/out"),
        ("data/s*/*.jsonl", "data/out"),
        ("data/sub", "data/out"),
    ],
)
def test_output_beside_the_source_is_allowed(tmp_path: Path, source: str, output: str) -> None:
    fill(tmp_path, "data/a.jsonl", "data/sub/b.jsonl")
    refuse_overlap([f"{tmp_path}/{source}"], f"{tmp_path}/{output}")


def test_overlap_of_urls_is_refused_and_of_unlike_stores_is_none(tmp_path: Path) -> None:
    url = f"memory://{uuid.uuid4().hex}"
    open_store(url).create("in/a.jsonl", b"{}\n")
    for output in (f"{url}/in", f"{url}/in/out/", url):
        with pytest.raises(ConfigError, match="lies inside"):
            refuse_overlap([f"{url}/in"], output)
    refuse_overlap([f"{url}/in"], f"{url}/in-out")
    refuse_overlap([f"{url}/in"], str(tmp_path))


def test_formats_are_found_by_their_suffixes() -> None:
    formats = find_formats()
    assert {"jsonl", "parquet"} <= formats.keys()
    suffixes = [suffix for module in formats.values() for suffix in module.SUFFIXES]
    assert len(suffixes) == len(set(suffixes))
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in suffixes)
