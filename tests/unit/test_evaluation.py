"""Evaluation of whole runs whose rows are written down: which rows count, slices, intervals."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelmill.errors import ConfigError, CorruptRun, InputError, LabelmillError
from labelmill.evaluation import choosing, resampling
from labelmill.evaluation.evaluation import Wish, evaluate
from labelmill.evaluation.result import Evaluation
from labelmill.ops import plugins
from tests.support.labelled_runs import labelled_run

GOLD = ["a", "a", "b", None, "b", "a"]
LABEL = ["a", "b", "b", "a", "b", None]
SIDE = ["x", "x", "y", "y", None, "y"]


def a_run(directory: Path, **changes) -> str:
    kept = {"id": pa.array(range(6)), "gold": pa.array(GOLD), "side": pa.array(SIDE)}
    score = pa.array([0.9] * 6, pa.float32())
    return labelled_run(directory / "out", kept, {"label": LABEL, "score": score}, **changes)


def of(output: str, gold: str = "gold", **changes) -> Evaluation:
    return evaluate(Wish(output=output, gold=gold, **{"resamples": 0, **changes}))


@pytest.mark.parametrize("part_format", ["parquet", "jsonl"])
@pytest.mark.parametrize("cuts", [(), (1, 4)])
def test_every_row_is_accounted_for(tmp_path, part_format, cuts):
    found = of(a_run(tmp_path, part_format=part_format, cuts=cuts, rejected=2))
    rows = found.rows
    assert (rows.read, rows.rejected, rows.unlabelled, rows.without_gold) == (8, 2, 1, 1)
    assert rows.evaluated == 4
    assert found.metrics["accuracy"].value == pytest.approx(3 / 4)
    assert found.complete


def test_rejected_row_that_was_kept_counts_once(tmp_path):
    added = {"label": ["a", None], "score": [0.5, None], "error": [None, "text: is null"]}
    output = labelled_run(tmp_path / "out", {"gold": ["a", "a"]}, added)
    rows = of(output).rows
    # This support's receipt says that no row was rejected; in a real run it says one.
    assert (rows.evaluated, rows.unlabelled, rows.without_gold) == (1, 0, 0)


def test_slices_have_their_own_metrics_the_largest_first(tmp_path):
    slices = of(a_run(tmp_path, cuts=(2,)), by=("side", "id")).slices
    told = [(each.value, each.rows, each.metrics["accuracy"]) for each in slices["side"]]
    assert told[0] == ("x", 2, 0.5)
    assert {each[:2] for each in told} == {("x", 2), ("y", 1), (None, 1)}
    assert len(slices["id"]) == 4


def test_too_many_slices_are_refused(tmp_path):
    size = 1100
    kept = {"gold": ["a"] * size, "id": list(range(size))}
    output = labelled_run(tmp_path / "out", kept, {"label": ["a"] * size, "score": [1.0] * size})
    with pytest.raises(ConfigError, match="more than 1000 different values"):
        of(output, by=("id",))


def carried(directory: Path, golds: list[str], label: list[str], **changes) -> str:
    """A run of JSON Lines, each object carried whole, cut after every second row."""
    lines = [f'{{"gold": {gold}, "n": {n}}}' if gold else "{}" for n, gold in enumerate(golds)]
    score = pa.array([0.9] * len(label), pa.float32())
    cuts = tuple(range(2, len(lines), 2))
    added = {"label": label, "score": score}
    return labelled_run(directory / "out", {}, added, lines=lines, cuts=cuts, **changes)


@pytest.mark.parametrize(
    ("golds", "label", "right", "of_rows"),
    [
        (["null", "null", '"a"', '"b"'], ["a", "a", "a", "a"], 1, 2),
        (["", "", '"a"', '"b"'], ["a", "a", "a", "a"], 1, 2),  # the first part has no such key
        (["0", "1", "1.0", "0.0"], ["0", "0", "1", "0"], 3, 4),
        (['"0"', '"1"', "1", "0"], ["0", "0", "1", "0"], 3, 4),  # no common type but text
    ],
    ids=["null first", "no key first", "whole numbers first", "texts first"],
)
def test_lines_that_are_carried_are_read_by_the_types_of_all_parts(
    tmp_path, golds, label, right, of_rows
):
    found = of(carried(tmp_path, golds, label), by=("n",))
    assert found.rows.evaluated == of_rows
    assert found.rows.without_gold == len(golds) - of_rows
    assert found.metrics["accuracy"].value == pytest.approx(right / of_rows)


def test_numbers_that_are_whole_in_the_first_part_are_all_measured(tmp_path):
    lines = [f'{{"gold": {number}}}' for number in ("1", "2", "2.5", "null", "4")]
    added = {"score": pa.array([1, 2, 3, 4, 5], pa.float32())}
    found = of(labelled_run(tmp_path / "out", {}, added, lines=lines, cuts=(2, 4)))
    assert (found.rows.evaluated, found.rows.unlabelled, found.rows.without_gold) == (4, 0, 1)
    assert found.metrics["mae"].value == pytest.approx((0 + 0 + 0.5 + 1) / 4)


def test_part_that_is_gone_before_its_types_are_known_is_no_gap(tmp_path):
    output = carried(tmp_path, ['"a"'] * 3, ["a"] * 3)
    next(Path(output).glob("*.jsonl")).unlink()
    with pytest.raises(CorruptRun, match="labelmill verify"):
        of(output)


def test_line_that_no_column_can_hold_is_counted_apart(tmp_path):
    golds = ['"a"', '"\\ud800"', '"b"']
    rows = of(carried(tmp_path, golds, ["a", "a", "a"])).rows
    assert (rows.read, rows.unreadable, rows.unlabelled, rows.evaluated) == (3, 1, 0, 2)


@pytest.mark.parametrize("column", ["gone", "gold.gone", "gone/gold.csv"])
def test_unknown_column_of_carried_lines_is_refused_by_its_whole_name(tmp_path, column):
    output = carried(tmp_path, ['{"x": 1}'] * 2, ["a", "a"])
    with pytest.raises(ConfigError, match=re.escape(repr(column))):
        of(output, column)


def test_file_named_as_a_column_is_told_of_the_key(tmp_path):
    with pytest.raises(ConfigError, match=r"no column 'gold/a\.csv'.*--key"):
        of(a_run(tmp_path), "gold/a.csv")


def test_prefix_and_dots_are_followed(tmp_path):
    kept = {"label": ["kept", "kept"], "meta": [{"gold": "a"}, {"gold": "b"}]}
    added = {"m_label": ["a", "a"], "m_score": pa.array([0.5, 0.5], pa.float32())}
    output = labelled_run(tmp_path / "out", kept, added, settings={"output.prefix": "m_"})
    assert of(output, "meta.gold").metrics["accuracy"].value == 0.5
    with pytest.raises(ConfigError, match=r"no column 'meta.silver'"):
        of(output, "meta.silver")


def test_unknown_column_is_refused_with_the_near_miss(tmp_path):
    for part_format in ("parquet", "jsonl"):
        output = a_run(tmp_path / part_format, part_format=part_format)
        with pytest.raises(ConfigError, match="no column 'golds'; did you mean 'gold'"):
            of(output, "golds")


def test_without_any_gold_it_is_an_error(tmp_path):
    output = labelled_run(
        tmp_path / "out",
        {"gold": pa.array([None], pa.string())},
        {"label": ["a"], "score": [1.0]},
    )
    with pytest.raises(ConfigError, match="1 without gold"):
        of(output)


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "csv"])
def test_gold_file_is_joined_by_key(tmp_path, suffix):
    output, file = a_run(tmp_path, cuts=(3,)), tmp_path / f"gold.{suffix}"
    keys, right = [5, 4, 1, 0, 77], ["a", "a", "b", "a", "a"]
    if suffix == "parquet":
        pq.write_table(pa.table({"id": keys, "right": right}), file)
    elif suffix == "jsonl":
        lines = [json.dumps({"id": k, "right": g}) for k, g in zip(keys, right, strict=True)]
        file.write_text("\n".join(lines) + "\n")
    else:
        rows = [f"{k},{g}" for k, g in zip(keys, right, strict=True)]
        file.write_text("\n".join(["id,right", *rows]) + "\n")
    found = of(output, str(file), key="id")
    assert (found.rows.evaluated, found.rows.without_gold, found.rows.gold_unused) == (3, 2, 1)
    assert found.metrics["accuracy"].value == pytest.approx(2 / 3)


def test_gold_file_that_is_not_there_is_told_as_what_it_is(tmp_path):
    with pytest.raises(InputError, match=r"--gold: .*nowhere\.csv' does not exist"):
        of(a_run(tmp_path), str(tmp_path / "nowhere.csv"), key="id")


def test_gold_file_with_a_key_twice_or_several_columns_is_refused(tmp_path):
    output, file = a_run(tmp_path), tmp_path / "gold.parquet"
    pq.write_table(pa.table({"id": [1, 1], "right": ["a", "b"]}), file)
    with pytest.raises(InputError, match="key '1' stands there twice"):
        of(output, str(file), key="id")
    pq.write_table(pa.table({"id": [1], "right": ["a"], "wrong": ["b"]}), file)
    with pytest.raises(ConfigError, match="--gold-column"):
        of(output, str(file), key="id")
    assert of(output, str(file), key="id", gold_column="wrong").metrics["accuracy"].value == 1.0
    with pytest.raises(ConfigError, match="--key"):
        of(output, gold_column="right")


def test_empty_cell_of_a_gold_csv_is_no_gold_label(tmp_path):
    (tmp_path / "gold.csv").write_text("id,gold\n0,a\n1,\n2,b\n")
    found = of(a_run(tmp_path), str(tmp_path / "gold.csv"), key="id")
    assert (found.rows.evaluated, found.rows.without_gold) == (2, 3)
    assert found.metrics["accuracy"].value == 1.0


def test_missing_key_of_a_gold_file_is_refused(tmp_path):
    (tmp_path / "gold.csv").write_text("id,gold\n0,a\n,b\n")
    with pytest.raises(InputError, match=r"gold\.csv': a key is missing"):
        of(a_run(tmp_path), str(tmp_path / "gold.csv"), key="id")


def test_key_is_no_gold_column(tmp_path):
    (tmp_path / "gold.csv").write_text("id,gold\n0,a\n")
    with pytest.raises(ConfigError, match=r"--gold-column: 'id' is the key"):
        of(a_run(tmp_path), str(tmp_path / "gold.csv"), key="id", gold_column="id")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pa.array([1, 0], pa.int32()), pa.array([1, 0], pa.int64())),
        (pa.array([1, 0], pa.int64()), pa.array([1.0, 0.0], pa.float64())),
        (pa.array([None, None], pa.null()), pa.array(["1", "0"], pa.large_string())),
    ],
    ids=["int32, int64", "int64, double", "null, large_string"],
)
def test_gold_files_of_types_that_one_type_holds_are_joined(tmp_path, first, second):
    gold, label = tmp_path / "gold", ["1", "0", "1", "1"]
    gold.mkdir()
    for name, column, ids in (("a", first, [0, 1]), ("b", second, [2, 3])):
        pq.write_table(pa.table({"id": ids, "gold": column}), gold / f"{name}.parquet")
    added = {"label": label, "score": pa.array([0.9] * 4, pa.float32())}
    output = labelled_run(tmp_path / "out", {"id": pa.array(range(4))}, added)
    found = of(output, str(gold), key="id")
    known = 4 - first.null_count
    assert found.rows.evaluated == known
    assert found.metrics["accuracy"].value == pytest.approx((known - 1) / known)


def test_gold_files_of_other_types_are_refused_by_name(tmp_path):
    gold = tmp_path / "gold"
    gold.mkdir()
    for name, values in (("a", [1, 0]), ("b", ["x", "y"])):
        ids = [f"{name}0", f"{name}1"]
        pq.write_table(pa.table({"id": ids, "gold": values}), gold / f"{name}.parquet")
    with pytest.raises(InputError, match=r"int64 in .*a\.parquet.*string in .*b\.parquet"):
        of(a_run(tmp_path), str(gold), key="id")


def test_gold_lines_that_begin_with_null_or_whole_numbers_are_read(tmp_path):
    values = ["null"] * 3 + ["0", "1.0", "1"]
    lines = [f'{{"id": {n}, "gold": {value}}}\n' for n, value in enumerate(values)]
    # More than the megabyte by whose lines a shard is inspected.
    lines[0] = f'{{"id": 0, "gold": null, "more": "{"x" * 2**20}"}}\n'
    (tmp_path / "gold.jsonl").write_text("".join(lines))
    added = {"label": ["1"] * 6, "score": pa.array([0.9] * 6, pa.float32())}
    output = labelled_run(tmp_path / "out", {"id": pa.array(range(6))}, added)
    found = of(output, str(tmp_path / "gold.jsonl"), key="id", gold_column="gold")
    assert found.rows.evaluated == 3
    assert found.metrics["accuracy"].value == pytest.approx(2 / 3)


def test_unfinished_run_is_evaluated_as_far_as_it_is(tmp_path):
    found = of(a_run(tmp_path, unfinished=True))
    assert not found.complete
    assert (found.splits_done, found.splits, found.rows.evaluated) == (1, None, 4)


def test_part_that_is_gone_or_cut_short_is_no_gap(tmp_path):
    output = a_run(tmp_path, cuts=(3,))
    part = Path(output) / "a.jsonl-00001.parquet"
    pq.write_table(pq.read_table(part).slice(1), part)
    with pytest.raises(CorruptRun, match="it has 2 rows, not 3"):
        of(output)
    part.unlink()
    with pytest.raises(CorruptRun, match="verify"):
        of(output)


def test_part_without_a_receipt_does_not_count(tmp_path):
    output = a_run(tmp_path)
    pq.write_table(pa.table({"label": ["a"], "gold": ["a"]}), Path(output) / "zombie.parquet")
    assert of(output).rows.evaluated == 4


@pytest.mark.parametrize(
    ("task", "added", "gold", "metric", "value"),
    [
        ("token-classification", {"entities": [[{"label": "X", "start": 0, "end": 1}]]},
         [[{"label": "X", "start": 0, "end": 1}]], "entity_f1", 1.0),
        ("question-answering", {"answer": pa.array([None], pa.string())},
         pa.array([[]], pa.list_(pa.string())), "exact_match", 1.0),
        ("summarization", {"summary": ["a cat"]}, ["a cat"], "rouge1", 1.0),
        ("translation", {"translation": ["a cat is here now"]}, ["a cat is here now"], "bleu",
         100.0),
        ("text-generation", {"generated_text": ["a"], "generated_tokens": [1]}, ["a"],
         "exact_match", 1.0),
        ("automatic-speech-recognition", {"transcript": ["a b"]}, ["a c"], "wer", 0.5),
        ("fill-mask", {"fills": [[[{"token": "a"}]]]}, ["a"], "accuracy", 1.0),
    ],
)  # fmt: skip
def test_each_kind_of_answer_has_its_metrics(tmp_path, task, added, gold, metric, value):
    output = labelled_run(tmp_path / "out", {"gold": gold}, added, task=task)
    found = of(output)
    assert found.metrics[metric].value == pytest.approx(value)
    assert metric in found.headline
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["rows"]["evaluated"] == 1


def test_regression_has_its_own_metrics(tmp_path):
    output = labelled_run(tmp_path / "out", {"gold": [1.0, 2.0, 4.0]}, {"score": [1.5, 2.0, 3.0]})
    found = of(output)
    assert found.headline == ("pearson", "mae")
    assert found.metrics["spearman"].value == pytest.approx(1.0)


def test_vectors_have_no_metric(tmp_path):
    vectors = pa.array([[0.1, 0.2]], pa.list_(pa.float32(), 2))
    output = labelled_run(
        tmp_path / "out", {"gold": ["a"]}, {"embedding": vectors}, task="feature-extraction"
    )
    with pytest.raises(ConfigError, match="label pairs of texts"):
        of(output)


def test_missing_package_is_named_with_the_extra(tmp_path, monkeypatch):
    output = labelled_run(tmp_path / "out", {"gold": ["a"]}, {"transcript": ["a"]})
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(ConfigError, match=r"'jiwer'.* pip install 'labelmill\[evaluate\]'"):
        of(output)


def test_arguments_that_do_nothing_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="--tokenize"):
        of(a_run(tmp_path), tokenize="13a")
    output = labelled_run(tmp_path / "b", {"gold": [1.0]}, {"score": [1.0]})
    with pytest.raises(ConfigError, match="--names"):
        of(output, names=("a",))
    single = labelled_run(
        tmp_path / "c", {"gold": [[]]}, {"entities": [[]]}, settings={"options.aggregation": "none"}
    )
    with pytest.raises(ConfigError, match="aggregation 'simple'"):
        of(single)
    with pytest.raises(LabelmillError, match="there is no run"):
        of(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("task", plugins.modules("labelmill.tasks"))
def test_tasks_name_metrics_that_are_known(task):
    named = set(plugins.load_class("labelmill.tasks", task).metrics)
    assert named <= choosing.METRICS


class Coin:
    """Rows of right and wrong, with the accuracy as a counted and as a ranked metric."""

    kinds, sorts = 2, 1

    def __init__(self, right: int, wrong: int) -> None:
        self.patterns = np.repeat([1, 0], [right, wrong]).astype(np.int32)

    def counted(self, counts):
        return {"counted": counts[1] / counts.sum()}

    def ranked(self, rows):
        return {"ranked": self.patterns[rows].mean()}


@pytest.mark.parametrize("golds", [[["cat"]] * 11 + [[]], [["cat"]] + [[]] * 11])
def test_answers_of_one_kind_in_a_sample_leave_the_intervals_of_the_others(tmp_path, golds):
    kept = {"gold": pa.array(golds, pa.list_(pa.string()))}
    output = labelled_run(
        tmp_path / "out", kept, {"answer": ["cat"] * 12}, task="question-answering"
    )
    metrics = of(output, resamples=200).metrics
    assert metrics["f1"].low is not None
    there = metrics["exact_match_answerable"]
    assert (there.value, there.low, there.high) == (1.0, 1.0, 1.0)


def test_number_that_is_missing_as_nan_is_no_gold(tmp_path):
    kept = {"gold": [1.0, float("nan"), 2.5, 4.0]}
    output = labelled_run(tmp_path / "out", kept, {"score": pa.array([1, 2, 3, 4], pa.float32())})
    found = of(output, resamples=50)
    assert (found.rows.evaluated, found.rows.without_gold) == (3, 1)
    assert found.metrics["spearman"].value == pytest.approx(1.0)


def test_metric_that_is_undefined_has_no_interval(tmp_path):
    kept = {"gold": [1.0, 2.0, 3.0, 4.0]}
    given = pa.array([1, float("nan"), 3, 4], pa.float32())
    metrics = of(labelled_run(tmp_path / "out", kept, {"score": given}), resamples=200).metrics
    assert metrics["spearman"].value is None
    assert metrics["spearman"].low is None


@pytest.mark.parametrize(
    ("task", "added", "empty"),
    [
        ("summarization", "summary", [None]),
        ("summarization", "summary", {"text": []}),
        ("translation", "translation", [None]),
        ("text-generation", "generated_text", {"text": [None]}),
        ("automatic-speech-recognition", "transcript", []),
    ],
)
def test_list_of_no_gold_text_is_no_gold(tmp_path, task, added, empty):
    text = {"text": ["x y"]} if isinstance(empty, dict) else ["x y"]
    kept = {"gold": pa.array([text, empty])}
    rows = of(labelled_run(tmp_path / "out", kept, {added: ["x y", "z"]}, task=task)).rows
    assert (rows.evaluated, rows.without_gold) == (1, 1)


def test_bytes_do_not_make_slices(tmp_path):
    kept = {"gold": ["a"], "side": pa.array([b"\xff"])}
    added = {"label": ["a"], "score": pa.array([0.9], pa.float32())}
    with pytest.raises(ConfigError, match="--by side: is of type binary"):
        of(labelled_run(tmp_path / "out", kept, added), by=("side",))


def test_intervals_are_those_of_the_binomial_whichever_way_they_are_drawn():
    for coin in (Coin(60, 40), Coin(6, 4)):
        ends, said = resampling.intervals(coin, 2000, 0)
        share = 0.6 + np.array([-1.96, 1.96]) * np.sqrt(0.24 / len(coin.patterns))
        assert ends["counted"] == pytest.approx(share, abs=0.035)
        assert ends["ranked"] == pytest.approx(share, abs=0.035)
        assert said == ()


def test_same_seed_same_intervals_another_seed_others(tmp_path):
    output = a_run(tmp_path)
    first, again, other = (of(output, resamples=200, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.metrics["accuracy"].low is not None
    assert first.seed != other.seed
    low, high = first.metrics["accuracy"].low, first.metrics["accuracy"].high
    assert low <= first.metrics["accuracy"].value <= high


def test_what_takes_too_long_is_drawn_less_often_and_told(monkeypatch):
    monkeypatch.setattr(resampling, "_SECONDS", 0.02)
    ends, (said,) = resampling.intervals(Coin(6, 4), 2000, 0)
    assert said == "intervals of metrics that sort rows are from 194 samples"
    assert set(ends) == {"counted", "ranked"}
    monkeypatch.setattr(resampling, "_SECONDS", 0.0002)
    ends, said = resampling.intervals(Coin(6, 4), 2000, 0)
    assert said[0].startswith("intervals are from 200 samples")
    assert "no interval" in said[1]
    assert set(ends) == {"counted"}
