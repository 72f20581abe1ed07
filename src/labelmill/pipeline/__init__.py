"""The pipeline of a job, and the Ray session that it runs in."""

from labelmill.pipeline.run import Committed, Event, Progressed, run
from labelmill.pipeline.session import Cluster, on_replica, session
from labelmill.pipeline.shape import Shape, gpus_wanted, shape

__all__ = [
    "Cluster",
    "Committed",
    "Event",
    "Progressed",
    "Shape",
    "gpus_wanted",
    "on_replica",
    "run",
    "session",
    "shape",
]
