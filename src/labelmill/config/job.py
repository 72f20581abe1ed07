"""LabelJob: a whole job file of `labelmill label`, checked."""

from pydantic import Field, JsonValue, SerializeAsAny

from labelmill.config.model import ModelSection
from labelmill.config.output import OutputSection
from labelmill.config.resources import ResourcesSection
from labelmill.config.section import Section
from labelmill.config.source import SourceSection
from labelmill.config.values import Text


class LabelJob(Section):
    """One labelling job. `options` is an instance of the task's own class."""

    task: Text = Field(description="Name of the task, e.g. `text-classification`.")
    model: ModelSection
    source: SourceSection
    options: SerializeAsAny[Section]
    output: OutputSection
    resources: ResourcesSection = ResourcesSection()

    def dump(self) -> dict[str, JsonValue]:
        """Every setting as plain JSON values, defaults included; loads again to an equal job."""
        return self.model_dump(mode="json")
