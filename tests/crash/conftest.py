"""What every crash test labels."""

from pathlib import Path

import pytest

from tests.support import corpus


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shard of each kind."""
    directory = tmp_path_factory.mktemp("source") / "in"
    corpus.write_corpus(directory)
    return directory
