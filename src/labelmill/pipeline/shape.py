"""Shape: how a job is spread over a cluster. Nothing here can change a result.

A replica on a CPU has `cpus_per_replica` threads; where its engine makes good use of many it has
those of its node, and one model serves them all. It takes almost none of Ray's logical CPUs,
because actors that hold all of them leave none for reading and tokenizing, and such a job hangs for
ever.

One core reads for many that predict, and one tokenizer serves about thirty replicas on CPUs; a
process that is not needed costs each start of a job a second. A split that waits at a replica saves
it a tenth of a second between two, and waits there even when another replica has nothing to do: so
none does on CPUs where texts are written, which takes minutes.
"""

from dataclasses import dataclass

from labelmill.config.resources import ResourcesSection
from labelmill.errors import ConfigError
from labelmill.pipeline.cluster import Cluster
from labelmill.tasks import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The spread."""

    replicas: int
    gpus_per_replica: float
    threads: int  # CPU threads of one replica
    readers: int  # shards read at once
    tokenizers: int  # splits tokenized at once
    in_flight: int  # splits that a replica has at once: the one it predicts, and one that waits


def gpus_wanted(resources: ResourcesSection, cluster: Cluster) -> float:
    """GPUs of one replica: what the job says, else 1 where the cluster has any.

    Raises ConfigError where there are fewer: a replica would wait for ever, or run on CPUs.
    """
    wanted = resources.gpus_per_replica
    if wanted == "auto":
        return 1.0 if cluster.gpus else 0.0
    if wanted > cluster.gpus:
        raise ConfigError(
            f"resources.gpus_per_replica: {wanted:g} GPUs for each replica, and there are "
            f"{cluster.gpus:g} in all; set it to at most that, or to 0 to use CPUs"
        )
    return wanted


def shape(
    resources: ResourcesSection, cluster: Cluster, device: str, work: Work, most_threads: int
) -> Shape:
    """Fill in every `auto`; raises ConfigError where the replicas can never be placed.

    `most_threads` is how many a replica's engine makes good use of on a CPU.
    """
    gpus = gpus_wanted(resources, cluster) if device == "cuda" else 0.0
    cpus = resources.cpus_per_replica
    if cpus == "auto":
        cpus = 1.0 if gpus else _share(resources, cluster, most_threads)
    room = _on_gpus(cluster.gpus, gpus) if gpus else max(1, int(cluster.cpus / cpus))
    replicas = room if resources.replicas == "auto" else resources.replicas
    if gpus and replicas > room:
        raise ConfigError(
            f"resources.replicas: {replicas} replicas of {gpus:g} GPUs do not fit into the "
            f"cluster's {cluster.gpus:g} GPUs; there is room for {room}"
        )
    cores = max(1, int(cluster.cpus))
    tokenizers = max(1, cores // 2) if resources.tokenizers == "auto" else resources.tokenizers
    return Shape(
        replicas=max(1, replicas),
        gpus_per_replica=gpus,
        threads=max(1, int(cpus)),
        readers=max(1, cores // 4),
        tokenizers=tokenizers,
        in_flight=1 if work == "generating" and not gpus else 2,
    )


def _on_gpus(gpus: float, each: float) -> int:
    """Replicas that find room; one that takes a part of a GPU does not reach into the next."""
    return int(gpus // each) if each >= 1 else int(gpus) * int(1 / each + 1e-9)


def _share(resources: ResourcesSection, cluster: Cluster, most: int) -> float:
    """CPUs of a replica: a node's cores in as few replicas as `most` allows, all alike.

    Replicas whose number is set have no more than all cores give to each.
    """
    share = float(cluster.cores // -(-cluster.cores // most))
    if resources.replicas == "auto":
        return share
    return max(1.0, min(share, cluster.cpus // resources.replicas))
