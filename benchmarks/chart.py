"""Chart: rows a second of every contender, a panel a corpus, as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

_STEADY, _WHOLE = "#3b6ea5", "#a9c4e0"


def draw(told: Mapping[str, Any], path: Path) -> None:
    """Write the picture; its format is that of the suffix."""
    corpora = told["corpora"]
    tallest = max(map(len, corpora.values()))
    size = (5.2 * len(corpora), 1.8 + 0.42 * tallest)
    figure, axes = plt.subplots(1, len(corpora), figsize=size, squeeze=False)
    for axis, (corpus, lines) in zip(axes[0], corpora.items(), strict=True):
        _panel(axis, corpus, lines)
    axes[0][0].legend(loc="lower right", fontsize=8)
    here = told["machine"]
    figure.suptitle(f"rows/s, longer is faster (log scale); {here['cpu']}, {here['cores']} cores")
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _panel(axis: Any, corpus: str, lines: Mapping[str, Any]) -> None:
    names = sorted(lines, key=lambda name: lines[name]["steady_rows_per_second"])
    steady = [lines[name]["steady_rows_per_second"] for name in names]
    whole = [lines[name]["rows_per_second"] for name in names]
    places = range(len(names))
    axis.barh(places, steady, color=_STEADY, label="steady")
    axis.barh(places, whole, color=_WHOLE, height=0.4, label="whole process")
    for place, value in zip(places, steady, strict=True):
        axis.text(value * 1.05, place, f"{value:,.0f}", va="center", fontsize=8)
    axis.set_yticks(list(places), names, fontsize=8)
    axis.set_xscale("log")
    axis.set_xlim(min(whole) / 2, max(steady) * 3)
    axis.set_title(corpus)
