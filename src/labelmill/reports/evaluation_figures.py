"""Evaluation figures: the pictures of the page, as SVG text, by matplotlib.

Drawn from the tables of a result alone. The same numbers give the same bytes.
"""

import io

from labelmill.evaluation import libraries
from labelmill.evaluation.result import Evaluation
from labelmill.evaluation.scored import Table

_LABELLED = 40  # labels of a confusion matrix that are written out
_NUMBERED = 12  # labels up to which each cell has its number
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "labelmill", "font.size": 9}


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
    names = table.columns[1:]
    counts = [[float(str(cell)) for cell in row[1:]] for row in table.rows]
    shares = [[cell / (sum(row) or 1.0) for cell in row] for row in counts]
    size = min(3.0 + 0.3 * len(names), 9.0)
    figure = libraries.load("matplotlib.figure").Figure(figsize=(size, size), layout="tight")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.set(xlabel="label", ylabel="gold")
    if len(names) <= _LABELLED:
        axes.set_xticks(range(len(names)), _plain(names), rotation=90)
        axes.set_yticks(range(len(names)), _plain(names))
    for row, cells in enumerate(counts if len(names) <= _NUMBERED else []):
        for column, cell in enumerate(cells):
            colour = "white" if shares[row][column] > 0.5 else "black"
            axes.text(column, row, f"{cell:,.0f}", ha="center", va="center", color=colour)
    return _svg(figure)


def _reliability(table: Table) -> str:
    bins = table.records()
    scores = [float(str(each["mean_score"])) for each in bins]
    shares = [float(str(each["accuracy"])) for each in bins]
    rows = [float(str(each["rows"])) for each in bins]
    figure = libraries.load("matplotlib.figure").Figure(figsize=(4.0, 4.0), layout="tight")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
    axes.plot(scores, shares, marker="o", color="tab:blue")
    axes.bar(scores, [each / sum(rows) for each in rows], width=0.04, color="tab:blue", alpha=0.25)
    axes.set(xlabel="score", ylabel="share that is right; bars: share of rows")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    return _svg(figure)


def _plain(names: tuple[str, ...]) -> list[str]:
    """A dollar sign would begin a formula."""
    return [name.replace("$", r"\$") for name in names]


def _svg(figure: object) -> str:
    """The `svg` element, without what comes before it in a file."""
    target = io.StringIO()
    with libraries.load("matplotlib").rc_context(_STYLE):
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})  # type: ignore[attr-defined]
    text = target.getvalue()
    return text[text.index("<svg") :]
