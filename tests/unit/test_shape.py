"""How a job is spread over a cluster: every key of `resources` has its effect here."""

import pytest

from labelmill.config.resources import ResourcesSection
from labelmill.errors import ConfigError
from labelmill.pipeline.cluster import Cluster
from labelmill.pipeline.ray_source import READ_TASKS, grouped
from labelmill.pipeline.shape import gpus_wanted, shape
from labelmill.splits import Shard
from labelmill.stages.read import ReadWork

LAPTOP = Cluster(nodes=1, cores=8, cpus=8, gpus=0)
FARM = Cluster(nodes=4, cores=64, cpus=256, gpus=32)


def work(path: str, size: int) -> ReadWork:
    shard = Shard(path=path, url=f"/in/{path}", format="jsonl", size=size, version="1")
    return ReadWork(shard=shard, generation=0)


def test_shape_on_cpus_is_a_replica_a_core_with_one_thread() -> None:
    found = shape(ResourcesSection(), LAPTOP, "cpu", "scoring", 1)

    assert (found.replicas, found.threads, found.gpus_per_replica) == (8, 1, 0)
    assert (found.readers, found.tokenizers) == (2, 4)


@pytest.mark.parametrize(
    ("cores", "replicas", "threads"),
    [(1, 1, 1), (2, 1, 2), (8, 1, 8), (9, 2, 4), (12, 2, 6), (16, 2, 8), (64, 8, 8)],
)
def test_engine_that_makes_use_of_many_threads_has_a_node_in_few_equal_replicas(
    cores: int, replicas: int, threads: int
) -> None:
    here = Cluster(nodes=1, cores=cores, cpus=cores, gpus=0)
    found = shape(ResourcesSection(), here, "cpu", "scoring", 8)

    assert (found.replicas, found.threads) == (replicas, threads)


def test_replicas_of_many_threads_are_no_larger_than_the_smallest_node() -> None:
    uneven = Cluster(nodes=2, cores=4, cpus=16, gpus=0)
    found = shape(ResourcesSection(), uneven, "cpu", "scoring", 8)

    assert (found.replicas, found.threads) == (4, 4)


def test_threads_of_an_engine_are_for_cpus() -> None:
    found = shape(ResourcesSection(), FARM, "cuda", "scoring", 8)

    assert (found.replicas, found.threads) == (32, 1)


def test_cpus_per_replica_that_are_set_are_kept_whatever_the_engine() -> None:
    found = shape(ResourcesSection(cpus_per_replica=1), LAPTOP, "cpu", "scoring", 8)

    assert (found.replicas, found.threads) == (8, 1)


@pytest.mark.parametrize(("replicas", "threads"), [(1, 8), (2, 4), (3, 2), (8, 1), (20, 1)])
def test_replicas_that_are_set_share_the_cores(replicas: int, threads: int) -> None:
    found = shape(ResourcesSection(replicas=replicas), LAPTOP, "cpu", "scoring", 8)

    assert (found.replicas, found.threads) == (replicas, threads)


def test_shape_on_one_core_has_one_of_each() -> None:
    found = shape(
        ResourcesSection(), Cluster(nodes=1, cores=1, cpus=1, gpus=0), "cpu", "scoring", 1
    )

    assert (found.replicas, found.readers, found.tokenizers) == (1, 1, 1)


def test_split_waits_at_a_replica_unless_it_takes_minutes() -> None:
    assert shape(ResourcesSection(), LAPTOP, "cpu", "scoring", 1).in_flight == 2
    assert shape(ResourcesSection(), LAPTOP, "cpu", "media", 1).in_flight == 2
    assert shape(ResourcesSection(), LAPTOP, "cpu", "generating", 1).in_flight == 1
    assert shape(ResourcesSection(), FARM, "cuda", "generating", 1).in_flight == 2


def test_shape_on_gpus_is_a_replica_a_gpu() -> None:
    found = shape(ResourcesSection(), FARM, "cuda", "scoring", 1)

    assert (found.replicas, found.gpus_per_replica) == (32, 1)


def test_cpus_per_replica_gives_fewer_replicas_with_more_threads() -> None:
    found = shape(ResourcesSection(cpus_per_replica=4), LAPTOP, "cpu", "scoring", 1)

    assert (found.replicas, found.threads) == (2, 4)


def test_gpus_per_replica_of_a_half_puts_two_on_a_gpu() -> None:
    assert shape(ResourcesSection(gpus_per_replica=0.5), FARM, "cuda", "scoring", 1).replicas == 64


@pytest.mark.parametrize(("part", "replicas"), [(0.4, 64), (0.3, 96), (0.1, 320), (2, 16), (3, 10)])
def test_replicas_find_room_on_whole_gpus(part: float, replicas: int) -> None:
    found = shape(ResourcesSection(gpus_per_replica=part), FARM, "cuda", "scoring", 1)

    assert found.replicas == replicas


@pytest.mark.parametrize(("there", "wanted"), [(0, 1), (0, 0.5), (1, 2)])
def test_gpus_that_are_not_there_are_refused_instead_of_waited_for(
    there: float, wanted: float
) -> None:
    here = Cluster(nodes=1, cores=8, cpus=8, gpus=there)

    with pytest.raises(ConfigError, match=rf"gpus_per_replica: {wanted} GPUs.* {there} in all"):
        gpus_wanted(ResourcesSection(gpus_per_replica=wanted), here)


def test_gpus_per_replica_of_zero_keeps_off_gpus() -> None:
    resources = ResourcesSection(gpus_per_replica=0)

    assert gpus_wanted(resources, FARM) == 0
    assert shape(resources, FARM, "cpu", "scoring", 1).gpus_per_replica == 0


def test_replicas_and_tokenizers_are_taken_as_given() -> None:
    found = shape(ResourcesSection(replicas=3, tokenizers=2), LAPTOP, "cpu", "scoring", 1)

    assert (found.replicas, found.tokenizers) == (3, 2)


def test_replicas_beyond_the_gpus_are_refused_instead_of_waited_for() -> None:
    with pytest.raises(ConfigError, match=r"resources\.replicas: 40 replicas.*room for 32"):
        shape(ResourcesSection(replicas=40), FARM, "cuda", "scoring", 1)


def test_grouped_few_shards_are_read_alone_largest_first() -> None:
    groups = grouped([work("a", 5), work("b", 9), work("c", 5)])

    assert [[w.shard.path for w in group] for group in groups] == [["b"], ["a"], ["c"]]


def test_grouped_many_small_shards_share_read_tasks_and_none_is_lost() -> None:
    works = [work(f"{i:05d}", 1 + i % 3) for i in range(3 * READ_TASKS)] + [work("big", 10**6)]

    groups = grouped(works)

    assert groups[0] == [work("big", 10**6)]
    assert len(groups) <= READ_TASKS + 1
    assert sorted(w.shard.path for g in groups for w in g) == sorted(w.shard.path for w in works)
