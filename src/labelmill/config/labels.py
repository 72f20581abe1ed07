"""Labels: the settings that the tasks of classification share, whatever they classify."""

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from labelmill.batch import THRESHOLD, ProblemType
from labelmill.config.section import Section
from labelmill.config.values import Count, Share, Text, Texts


class LabelsSection(Section):
    """Which labels there are, and which are given."""

    scores: Literal["best", "all"] | Count = Field(
        default="best", description="Also list the scores of all labels, or of the k best."
    )
    threshold: Share | Mapping[Text, Share] = Field(
        default=THRESHOLD,
        description="Lowest score of a label that is given, where several may be; or a mapping of "
        "labels to theirs.",
    )
    labels: Texts | None = Field(
        default=None,
        description="Names of the model's labels in the order of their ids; null: its own.",
    )
    problem_type: ProblemType | None = Field(
        default=None,
        description="Whether labels exclude each other, do not, or are numbers; null: as the "
        "model's config.json says, else by the number of labels.",
    )

    @field_validator("labels")
    @classmethod
    def _differ(cls, names: Texts | None) -> Texts | None:
        for name, count in Counter(names or ()).items():
            if count > 1:
                raise ValueError(f"{name!r} stands there {count} times, expected different names")
        return names
