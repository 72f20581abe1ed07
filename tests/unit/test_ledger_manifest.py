"""The manifest: written first, never changed, refused where it is not this job's."""

import json

import pytest

from labelmill.errors import CorruptRun, FingerprintChanged, LedgerError
from labelmill.ledger.manifest import FORMAT_VERSION, Manifest, read_manifest
from labelmill.ledger.names import MANIFEST
from tests.support.runs import a_manifest
from tests.support.stores import MemoryStore


def test_manifest_read_back_is_the_one_written_with_the_metadata_of_its_schemas() -> None:
    store = MemoryStore()
    written = a_manifest().settle(store)
    read = read_manifest(store)
    assert read == written
    assert read.source_schema.equals(written.source_schema, check_metadata=True)
    assert b'"label: string"' in store.files[MANIFEST]


def test_manifest_of_a_second_job_with_equal_settings_is_the_first_ones() -> None:
    store = MemoryStore()
    first = a_manifest().settle(store)
    second = a_manifest(created="2027-01-01T00:00:00Z", provenance={}).settle(store)
    assert second == first


def test_manifest_of_a_job_with_other_settings_is_refused_naming_them() -> None:
    store = MemoryStore()
    a_manifest().settle(store)
    before = dict(store.files)
    other = a_manifest(settings={"task": "text-classification", "options.max_length": 128})
    with pytest.raises(FingerprintChanged, match=r"options\.max_length.*512.*128"):
        other.settle(store)
    assert store.files == before


def test_manifest_of_another_format_version_names_the_labelmill_that_wrote_it() -> None:
    store = MemoryStore()
    a_manifest().settle(store)
    facts = json.loads(store.files[MANIFEST]) | {"format_version": 99, "labelmill_version": "9.9"}
    store.files[MANIFEST] = json.dumps(facts).encode()
    with pytest.raises(LedgerError, match=rf"'9\.9'.*99.*{FORMAT_VERSION}"):
        read_manifest(store)


@pytest.mark.parametrize("damage", ["cut", "edited", "no columns"])
def test_manifest_that_was_altered_is_corrupt(damage: str) -> None:
    store = MemoryStore()
    a_manifest().settle(store)
    whole = store.files[MANIFEST]
    facts = json.loads(whole)
    facts["settings"]["task"] = "token-classification"
    altered = {
        "cut": whole[:-20],
        "edited": json.dumps(facts).encode(),
        "no columns": json.dumps({**json.loads(whole), "schema": {"arrow": "AAAA"}}).encode(),
    }
    store.files[MANIFEST] = altered[damage]
    with pytest.raises(CorruptRun):
        read_manifest(store)


def test_manifest_of_an_empty_directory_is_none() -> None:
    assert Manifest.load(MemoryStore()) is None
    with pytest.raises(LedgerError, match="there is no run"):
        read_manifest(MemoryStore())
