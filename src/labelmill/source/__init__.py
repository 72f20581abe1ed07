"""The source: which shards a job has, and whether they are still what they were.

Promises that no file is left out in silence: it is a shard, or foreign, or under a hidden name.
Knows formats by their suffixes only; opens no shard.
"""

from labelmill.source.change import changed, current, recheck
from labelmill.source.overlap import refuse_overlap
from labelmill.source.shards import Listing, find_formats, list_shards

__all__ = [
    "Listing",
    "changed",
    "current",
    "find_formats",
    "list_shards",
    "recheck",
    "refuse_overlap",
]
