"""The pipeline of a job, and what runs it: Ray, or processes of this machine alone."""

from labelmill.pipeline.cluster import Cluster
from labelmill.pipeline.events import Committed, Event, Progressed
from labelmill.pipeline.runner import Runner, chosen, runner_of
from labelmill.pipeline.shape import Shape, gpus_wanted, shape

__all__ = [
    "Cluster",
    "Committed",
    "Event",
    "Progressed",
    "Runner",
    "Shape",
    "chosen",
    "gpus_wanted",
    "runner_of",
    "shape",
]
