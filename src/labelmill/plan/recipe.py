"""Recipe: everything that a worker must know of a run, frozen when the run starts.

It travels to every process, so it is small, picklable and complete: workers read no job file, no
manifest and no ledger.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from labelmill.batch import ModelFacts
from labelmill.checkpoints import Checkpoint, FastTokenizer
from labelmill.config.section import Section
from labelmill.formats import ReadRequest
from labelmill.ledger.quantized import Quantized


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What runs the model, resolved: never `auto`."""

    engine: str
    precision: str
    device: str  # "cpu" or "cuda"
    threads: int  # CPU threads of one replica
    budget: int | None  # tokens a microbatch; None: the engine's default for its device
    min_agreement: float  # share of rows whose label must equal float32's; see `agreement.enforce`
    compiled: bool = False  # the model's layers, for the GPU
    quantized: Quantized | None = None  # the run's model, where the precision is int8


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRecipe:
    """What a part looks like and where it goes."""

    url: str
    format: str
    schema: pa.Schema  # every column of a part, in order; without the raw line of JSON Lines
    prefix: str
    position: bool
    on_bad_row: str  # reject | null | fail
    on_bad_shard: str  # skip | fail
    reject_text: bool
    provenance: Mapping[str, str]  # nothing that differs between attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The run as its workers see it."""

    task: str
    options: Section
    checkpoint: Checkpoint
    facts: ModelFacts
    tokenizer: FastTokenizer | None  # None: workers load the checkpoint's own processor
    request: ReadRequest  # without what is done: that is a shard's own
    runtime: Runtime
    output: OutputRecipe
    attempt: str
