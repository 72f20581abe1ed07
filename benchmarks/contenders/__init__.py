"""Contenders: one module each, all with the same two things.

`command(setting)` is the command line that labels the setting's shards. `report(setting, stdout)`
says what the finished command told of itself, see `Report`.
"""

import json
from dataclasses import dataclass

NAMES = ("labelmill", "hand_one", "hand_each", "sentence_transformers", "pipeline")
HAND = ("hand_one", "hand_each")  # the yardstick
PEERS = ("sentence_transformers", "pipeline")  # slow: may run on fewer rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a contender told of itself.

    `steady_seconds` has one definition for all: from the start of the first forward pass to the
    last label written. Imports, loading the model and starting Ray are outside. Reading and
    tokenizing are inside as far as they come after the first forward pass: all but the first
    shard in `hand_each`; none in `hand_one`, which tokenizes everything first and so is the
    stricter yardstick; in labelmill all but the splits that are tokenized while its replicas
    load.
    """

    rows: int
    steady_seconds: float
    facts: dict[str, object]  # anything else worth keeping

    @classmethod
    def from_stdout(cls, stdout: str) -> "Report":
        """The report that `tell` printed as the last line."""
        return cls(**json.loads(stdout.strip().splitlines()[-1]))


def tell(rows: int, steady_seconds: float, **facts: object) -> None:
    """Print a report for the parent process to read."""
    print(json.dumps({"rows": rows, "steady_seconds": steady_seconds, "facts": facts}))
