"""Where a job may run: addresses that no job can join are refused before Ray is asked."""

import pytest

from labelmill.errors import ConfigError
from labelmill.pipeline import session


@pytest.mark.parametrize("address", ["http://10.0.0.1:8265", "ray://10.0.0.1:10001"])
def test_address_of_a_dashboard_or_of_ray_client_is_refused_naming_the_right_one(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)

    with pytest.raises(ConfigError, match=r"host:port.*ray job submit"), session(verbose=True):
        pass
