"""Where a job may run, and what Ray is told before it is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labelmill.errors import ConfigError
from labelmill.pipeline.ray_session import session


@pytest.mark.parametrize("address", ["http://10.0.0.1:8265", "ray://10.0.0.1:10001"])
def test_address_of_a_dashboard_or_of_ray_client_is_refused_naming_the_right_one(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)

    with pytest.raises(ConfigError, match=r"host:port.*ray job submit"), session(verbose=True):
        pass


def test_ray_that_cannot_start_is_one_line_that_says_so(tmp_path: Path) -> None:
    code = """
import sys
from labelmill.errors import ClusterError
from labelmill.pipeline.ray_session import session
try:
    with session(verbose=False):
        pass
except ClusterError as error:
    print(error)
"""
    # Ray's sockets would have longer names than a socket may have.
    deep = tmp_path / "deep" / ("d" * 120)
    deep.mkdir(parents=True)
    surroundings = {**os.environ, "RAY_TMPDIR": str(deep)}
    surroundings.pop("RAY_ADDRESS", None)
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=surroundings,
        capture_output=True,
        text=True,
        check=True,
    )

    assert ended.stdout.startswith("Ray did not start on this machine: ")
    assert "RAY_TMPDIR" in ended.stdout
    assert ended.stdout.count("\n") == 1


def test_share_of_a_killed_driver_is_soon_free_for_the_one_that_resumes() -> None:
    code = """
import contextlib, sys
from labelmill.cli import main
sys.argv = ["labelmill", "--version"]
with contextlib.suppress(SystemExit):
    main()
import ray.data
from ray.data._internal.cluster_autoscaler import RateBasedClusterAutoscaler
print(RateBasedClusterAutoscaler.AUTOSCALING_REQUEST_EXPIRE_TIME_S)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert int(ended.stdout.split()[-1]) == 30


def test_rays_monitor_has_ended_before_ray_waits_a_second_for_it() -> None:
    code = """
import psutil, ray, time
from labelmill.pipeline.ray_session import session

def monitors():
    children = psutil.Process().children()
    return sum(any(part.endswith("monitor.py") and "autoscaler" in part for part in one.cmdline())
               for one in children if one.status() != psutil.STATUS_ZOMBIE)

def shutdown(end=ray.shutdown):
    until = time.monotonic() + 30  # a process that was killed may take a while to be gone
    while monitors() and time.monotonic() < until:
        time.sleep(0.05)
    print("at the end", monitors())
    end()

with session(verbose=False):
    print("meanwhile", monitors())
    ray.shutdown = shutdown
print("left", len(psutil.Process().children()))
"""
    surroundings = {**os.environ}
    surroundings.pop("RAY_ADDRESS", None)
    ended = subprocess.run(
        [sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=True
    )

    # Ray is told not to wait for it; that there is one says that this is still needed.
    assert "meanwhile 1" in ended.stderr
    assert "at the end 0" in ended.stderr
    assert "left 0" in ended.stdout


def test_cores_are_those_of_the_smallest_node_that_has_any() -> None:
    code = """
import os, sys
from ray.cluster_utils import Cluster
from labelmill.pipeline.ray_session import session

here = {"object_store_memory": 80 * 2**20}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **here})
for cpus in (3, 2):
    cluster.add_node(num_cpus=cpus, **here)
cluster.wait_for_nodes()
os.environ["RAY_ADDRESS"] = cluster.address
with session(verbose=False) as found:
    print(found.nodes, found.cores, found.cpus, file=sys.__stdout__)
cluster.shutdown()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ended.stdout == "3 2 5.0\n"
