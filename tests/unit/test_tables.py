"""Tables for people: a name that is longer than the line is whole there all the same."""

from rich.console import Console

from labelmill.evaluation.evaluation import Wish, evaluate
from labelmill.reports.evaluation import metrics
from labelmill.reports.training import planned
from tests.support.labelled_runs import labelled_run

LONG = "a_name_of_a_hundred_letters_" * 4


def drawn(told: object) -> str:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(told)
    return "".join(capture.get().split())


def test_a_long_path_of_a_planned_training_is_whole():
    assert LONG in drawn(planned({"result": LONG}))


def test_a_long_value_of_a_slice_is_whole(tmp_path):
    columns = {"gold": ["a"], "author": [LONG]}
    run = labelled_run(tmp_path / "run", columns, {"label": ["a"], "score": [0.5]})
    wish = Wish(output=run, gold="gold", by=("author",), resamples=0)
    assert drawn(metrics(evaluate(wish))).count("letters_") == 4
