"""Training figures: the curves of a training and its mistakes, as SVG text."""

from collections.abc import Mapping, Sequence
from typing import Any

from labelmill.reports import drawing


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
    figure = drawing.figure(5.0, 3.2)
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
    return drawing.svg(figure)


def _confusion(table: Mapping[str, Any]) -> str:
    corner, *names = table["columns"]
    counts = [[float(row[name]) for name in names] for row in table["rows"]]
    down, across = corner.split("/")
    return drawing.confusion(names, counts, down=down, across=across)
