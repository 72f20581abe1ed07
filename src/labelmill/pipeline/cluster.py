"""Cluster: what a runner may spread a job over, counted once, when the job starts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The machines that are there, or this one."""

    nodes: int
    cores: int  # CPUs of the smallest node that has any
    cpus: float
    gpus: float
