"""Contenders: everything that labels the same rows with the same checkpoint, and what they tell.

Each but labelmill is a module here, run as `python -m benchmarks.contenders.MODULE SETTING` by the
Python of its environment; its last line of output is its report. With `prepare` after the setting
it does what a user does once for a model, such as converting it, which is timed for itself.
"""

import json
from dataclasses import dataclass
from typing import Literal

Precision = Literal["float32", "half", "int8"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to label a corpus."""

    name: str
    module: str  # of this package
    # "half" is what labelmill's `auto` takes here: bfloat16, on CPUs that compute in it. "int8" has
    # weights and activations of matrix products in int8, and that for the rest.
    precision: Precision
    venv: str | None = None  # folder of benchmarks/peers; None: the project's own environment
    slow: bool = False  # may run on fewer rows
    prepares: bool = False
    runner: Literal["auto", "ray"] = "auto"  # of labelmill's


ALL = (
    Contender(name="labelmill", module="labelmill", precision="half", prepares=True),
    Contender(
        name="labelmill_ray", module="labelmill", precision="half", prepares=True, runner="ray"
    ),
    Contender(name="labelmill_int8", module="labelmill", precision="int8", prepares=True),
    Contender(name="hand_one", module="hand_one", precision="half"),
    Contender(name="hand_each", module="hand_each", precision="half"),
    Contender(name="hand_openvino", module="hand_openvino", precision="half", prepares=True),
    Contender(name="hand_openvino_int8", module="hand_openvino", precision="int8", prepares=True),
    Contender(
        name="sentence_transformers_int8",
        module="sentence_transformers_int8",
        precision="int8",
        venv="openvino",
        slow=True,
        prepares=True,
    ),
    Contender(
        name="sentence_transformers",
        module="sentence_transformers",
        precision="float32",
        venv="stock",
        slow=True,
    ),
    Contender(name="pipeline", module="pipeline", precision="float32", venv="stock", slow=True),
    Contender(name="ray_data", module="ray_data", precision="float32", venv="stock", slow=True),
    Contender(name="daft", module="daft_udf", precision="float32", venv="daft", slow=True),
    Contender(
        name="datasets_map", module="datasets_map", precision="half", venv="stock", slow=True
    ),
)
NAMES = tuple(contender.name for contender in ALL)
YARDSTICKS = ("labelmill", "labelmill_int8")  # everything is compared with these


def named(names: str) -> list[Contender]:
    """Contenders by their names with commas between; raises SystemExit for an unknown one."""
    known = {contender.name: contender for contender in ALL}
    wanted = names.split(",")
    if unknown := [name for name in wanted if name not in known]:
        raise SystemExit(f"no contender {unknown[0]!r}; expected some of {', '.join(known)}")
    return [known[name] for name in wanted]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a contender told of itself.

    `steady_seconds` has one definition for all: from the start of the first forward pass to the
    last label written. Imports, loading the model and starting Ray are outside. Reading and
    tokenizing are inside as far as they come after the first forward pass: all but the first
    shard in `hand_each`; none in `hand_one` and `hand_openvino`, which tokenize everything first
    and so are the stricter yardsticks; in labelmill all but the splits that are tokenized while its
    replicas load.
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
