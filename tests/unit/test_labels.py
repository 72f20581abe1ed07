"""What the logits of a classifier mean, as its checkpoint and the job say."""

import pytest

from labelmill.batch import ModelFacts
from labelmill.errors import ModelError
from labelmill.ops import labels

MISSPELT = ModelFacts(
    model_type="bert",
    architecture="BertForSequenceClassification",
    labels=("a", "b"),
    problem_type="multi_label",
    max_length=64,
    pad_token_id=0,
)


def test_problem_type_that_there_is_not_is_refused_unless_the_job_says_another():
    with pytest.raises(ModelError, match=r"'multi_label', expected one of .*multi_label_class"):
        labels.told(MISSPELT, None, None)
    told = labels.told(MISSPELT, None, labels.MULTI_LABEL)
    assert told.problem_type == labels.MULTI_LABEL
