"""Fixtures that more than one folder of tests asks for."""

import os
import tempfile
from collections import Counter

import pytest
from hypothesis import settings

# A machine that is busy is no reason for a property to fail.
settings.register_profile("labelmill", deadline=None)
settings.load_profile("labelmill")

# Where transformers puts a checkpoint's own code, and we put converted models; the hub's library
# looks once, when it is imported.
_HOME = tempfile.TemporaryDirectory(prefix="labelmill-home-")
os.environ["HF_HOME"] = _HOME.name
os.environ["HF_MODULES_CACHE"] = f"{_HOME.name}/modules"

from tests.support.s3 import s3_bucket, s3_server  # noqa: E402

__all__ = ["s3_bucket", "s3_server"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules with the most slow tests first, so that no process ends long after the other."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])
