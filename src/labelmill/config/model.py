"""The `model` section: which checkpoint, and what may run it."""

from typing import Literal

from pydantic import Field

from labelmill.config.section import Section
from labelmill.config.values import Share, Text

Engine = Literal["auto", "pytorch", "openvino", "vllm"]
Precision = Literal["auto", "float32", "bfloat16", "float16", "int8"]


class ModelSection(Section):
    """The checkpoint, and what may run it."""

    path: Text = Field(description="Hub id, directory, or directory behind a URL.")
    revision: Text | None = Field(
        default=None,
        description="Branch, tag or commit of a hub id; null is the main branch. "
        "The commit is looked up when the run starts, and recorded.",
    )
    engine: Engine = Field(
        default="auto",
        description="What runs the model; `auto` takes the best that is installed, never `vllm`, "
        "which has not been run yet. Resolved when the run starts, and recorded.",
    )
    precision: Precision = Field(
        default="auto",
        description="Number format the model works in; `auto` takes what the device is good at, "
        "never `int8`, which is for the engine `openvino` and calibrated on rows of the job; "
        "faster on CPUs with VNNI (`avx512_vnni`, `avx_vnni`), but with AMX no faster than "
        "bfloat16; slower than float32 on others, "
        "which cannot go on with a run of the former. "
        "Resolved when the run starts, and recorded.",
    )
    min_agreement: Share = Field(
        default=0.99,
        description="Share of rows whose label must equal that of float32. The job stops where a "
        "sample of 64 rows proves, at 99% confidence, that fewer do; with `int8` where fewer of "
        "up to 512 rows do, without such a margin.",
    )
    trust_remote_code: bool = Field(
        default=False,
        description="Run Python code that comes with the checkpoint. Only for those you have read.",
    )
    allow_pickle: bool = Field(
        default=False,
        description="Load weights that are not safetensors. Pickled weights can run any code.",
    )
