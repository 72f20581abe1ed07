"""Training figures: the curves of a training and its mistakes, as SVG text, by matplotlib."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

_STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "labelmill", "font.size": 9}
_LABELLED = 40  # labels of a confusion matrix that are written out
_NUMBERED = 12  # labels up to which each cell has its number


def figures(told: Mapping[str, Any]) -> dict[str, str]:
    """Title -> SVG element, of what there are numbers for."""
    history, metric = told["history"], told["metric"]
    drawn = {
        "Loss": _curves(history, {"learned from": "loss", "kept back": "eval_loss"}),
        "Learning rate": _curves(history, {"learning rate": "learning_rate"}),
    }
    if metric != "loss":
        drawn[metric] = _curves(history, {metric: f"eval_{metric}"})
    tables = told["judged"]["tables"] if told["judged"] else {}
    if "confusion" in tables:
        drawn["Confusion matrix"] = _confusion(tables["confusion"])
    return {title: svg for title, svg in drawn.items() if svg}


def _curves(history: Sequence[Mapping[str, Any]], lines: Mapping[str, str]) -> str:
    """By step; '' where there is no point."""
    figure = Figure(figsize=(5.0, 3.2), layout="tight")
    axes = figure.add_subplot()
    for label, key in lines.items():
        points = [(one["step"], one[key]) for one in history if one.get(key) is not None]
        if points:
            marker = "o" if key.startswith("eval_") else ""
            axes.plot(*zip(*points, strict=True), label=label, marker=marker)
    if not axes.lines:
        return ""
    axes.set_xlabel("step")
    if len(axes.lines) > 1:
        axes.legend()
    return _svg(figure)


def _confusion(table: Mapping[str, Any]) -> str:
    corner, *names = table["columns"]
    counts = [[float(row[name]) for name in names] for row in table["rows"]]
    shares = [[cell / (sum(row) or 1.0) for cell in row] for row in counts]
    size = min(3.0 + 0.3 * len(names), 9.0)
    figure = Figure(figsize=(size, size), layout="tight")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    down, across = corner.split("/")
    axes.set(xlabel=across, ylabel=down)
    if len(names) <= _LABELLED:
        plain = [name.replace("$", r"\$") for name in names]  # a formula would begin there
        axes.set_xticks(range(len(names)), plain, rotation=90)
        axes.set_yticks(range(len(names)), plain)
    for row, cells in enumerate(counts if len(names) <= _NUMBERED else []):
        for column, cell in enumerate(cells):
            colour = "white" if shares[row][column] > 0.5 else "black"
            axes.text(column, row, f"{cell:,.0f}", ha="center", va="center", color=colour)
    return _svg(figure)


def _svg(figure: Figure) -> str:
    """The `svg` element, without what comes before it in a file; the same bytes every time."""
    target = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    text = target.getvalue()
    return text[text.index("<svg") :]
