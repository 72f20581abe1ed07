"""TrainJob: a whole job file of `labelmill train`, checked."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, JsonValue, SerializeAsAny

from labelmill.config.data import DataSection
from labelmill.config.section import Section
from labelmill.config.training import TrainingSection
from labelmill.config.values import Auto, Count, Gpus, Text


class StartSection(Section):
    """The checkpoint that training starts from."""

    path: Text = Field(description="Hub id, directory, or directory behind a URL.")
    revision: Text | None = Field(
        default=None, description="Branch, tag or commit of a hub id; null is the main branch."
    )
    trust_remote_code: bool = Field(
        default=False,
        description="Run Python code that comes with the checkpoint. Only for those you have read.",
    )
    allow_pickle: bool = Field(
        default=False,
        description="Load weights that are not safetensors. Pickled weights can run any code.",
    )
    config: Mapping[str, JsonValue] = Field(
        default_factory=dict,
        description="Settings of the checkpoint's config.json to change, e.g. "
        "`{hidden_dropout_prob: 0.0}`.",
    )


class ResultSection(Section):
    """Where the trained model goes."""

    path: Text = Field(
        description="Directory of the trained model, which `labelmill label` takes as its "
        "`model.path`. It appears when it is whole; until then, and for checkpoints, there is a "
        "directory of that name with `.training` at its end. On several machines both must lie on "
        "a disk that all of them share, or behind s3://, gs:// or abfs://."
    )


class WorkersSection(Section):
    """What the job may use."""

    workers: Auto | Count = Field(
        default="auto",
        description="Processes that train side by side, each with its share of every step; auto: "
        "one for each GPU, and one where there is none.",
    )
    gpus_per_worker: Auto | Gpus = Field(
        default="auto", description="GPUs for each worker; auto: 1 where there are GPUs, else 0."
    )
    cpus_per_worker: Auto | Count = Field(
        default="auto",
        description="CPU cores for each worker; auto: its share of the cores of a machine.",
    )
    max_failures: Annotated[int, Field(ge=0)] = Field(
        default=3,
        description="Times that training goes on from its last checkpoint after a worker or its "
        "machine has died; then the command ends, and running it again goes on.",
    )


class TrainJob(Section):
    """One training job. `options` is an instance of the task's own class."""

    task: Text = Field(description="Name of the task, e.g. `text-classification`.")
    model: StartSection
    data: DataSection
    options: SerializeAsAny[Section]
    training: TrainingSection = TrainingSection()
    output: ResultSection
    resources: WorkersSection = WorkersSection()

    def dump(self) -> dict[str, JsonValue]:
        """Every setting as plain JSON values, defaults included; loads again to an equal job."""
        return self.model_dump(mode="json")
