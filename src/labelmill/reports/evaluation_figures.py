"""Evaluation figures: the pictures of the page, as SVG text, from the tables of a result alone."""

from labelmill.evaluation.result import Evaluation
from labelmill.evaluation.scored import Table
from labelmill.reports import drawing


def figures(found: Evaluation) -> dict[str, str]:
    """Title -> SVG element, of what the result has tables for."""
    tables = {table.name: table for table in found.told.tables}
    drawn = {}
    if "confusion" in tables:
        drawn["Confusion matrix"] = _confusion(tables["confusion"])
    if "reliability" in tables:
        drawn["Reliability"] = _reliability(tables["reliability"])
    return drawn


def _confusion(table: Table) -> str:
    counts = [[float(str(cell)) for cell in row[1:]] for row in table.rows]
    return drawing.confusion(table.columns[1:], counts, down="gold", across="label")


def _reliability(table: Table) -> str:
    bins = table.records()
    scores = [float(str(each["mean_score"])) for each in bins]
    shares = [float(str(each["accuracy"])) for each in bins]
    rows = [float(str(each["rows"])) for each in bins]
    figure = drawing.figure(4.0, 4.0)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
    axes.plot(scores, shares, marker="o", color="tab:blue")
    axes.bar(scores, [each / sum(rows) for each in rows], width=0.04, color="tab:blue", alpha=0.25)
    axes.set(xlabel="score", ylabel="share that is right; bars: share of rows")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    return drawing.svg(figure)
