"""The `resources` section: what the job may use. Nothing here can change a label."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from labelmill.config.section import Section
from labelmill.config.values import Auto, Count, Gpus


class ResourcesSection(Section):
    """What the job may use; may be changed when a run is resumed."""

    runner: Auto | Literal["local", "ray"] = Field(
        default="auto",
        description="What runs the job: `ray`, on the cluster that is there or one of its own, or "
        "`local`, processes of this machine alone, which start sooner and use no GPU; auto: local "
        "on a machine of at most 8 cores without GPU on which no Ray runs.",
    )
    replicas: Auto | Count = Field(
        default="auto", description="Copies of the model at work at the same time."
    )
    gpus_per_replica: Auto | Gpus = Field(
        default="auto", description="GPUs for each replica; 0.5 puts two on one GPU, 0 uses none."
    )
    cpus_per_replica: Auto | Annotated[float, Field(gt=0)] = Field(
        default="auto",
        description="CPU cores for each replica; auto: 1, or with the engine openvino those of "
        "the node, up to 8, which share one copy of the weights (of all nodes, divided by "
        "`replicas`, where that gives fewer).",
    )
    tokenizers: Auto | Count = Field(
        default="auto",
        description="Splits tokenized at the same time, one CPU core each; "
        "auto: half as many as there are cores.",
    )
    microbatch_tokens: Auto | Count = Field(
        default="auto",
        description="Tokens of one forward pass at most, padding included; "
        "lower it where memory runs out.",
    )
    compile: bool = Field(
        default=False,
        description="Compile the model's layers for the GPU, with the engine pytorch: a tenth "
        "faster with BERT and its like, for some seconds at each start of a replica. For tasks "
        "that score texts, and models whose rows are packed; refused for others.",
    )

    @model_validator(mode="after")
    def _has_its_gpus(self) -> Self:
        if self.runner == "local" and self.gpus_per_replica not in {"auto", 0}:
            raise ValueError(
                "gpus_per_replica is for the runner 'ray', and runner is 'local', which uses no "
                "GPU; set either"
            )
        return self
