"""Drawing: pictures of matplotlib as SVG text, and the confusion matrix that several pages have.

The same numbers give the same bytes. Text stays text: the reader's browser has the fonts.
"""

import io
import re
import warnings
from collections.abc import Sequence
from typing import Any

from labelmill.evaluation import libraries

_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "labelmill", "font.size": 9}
_LABELLED = 40  # labels of a confusion matrix that are written out
_NUMBERED = 12  # labels up to which each cell has its number
_LONGEST = 40  # characters of a label
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def figure(width: float, height: float) -> Any:
    """An empty matplotlib Figure, in inches; raises ConfigError where matplotlib is not there."""
    return libraries.load("matplotlib.figure").Figure(figsize=(width, height), layout="tight")


def confusion(
    names: Sequence[str], counts: Sequence[Sequence[float]], *, down: str, across: str
) -> str:
    """Rows of counts as shares of their row; `down` and `across` say what its labels are."""
    shares = [[cell / (sum(row) or 1.0) for cell in row] for row in counts]
    size = min(3.0 + 0.3 * len(names), 9.0)
    drawn = figure(size, size)
    axes = drawn.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.set(xlabel=across, ylabel=down)
    if len(names) <= _LABELLED:
        plain = [_plain(name) for name in names]
        axes.set_xticks(range(len(names)), plain, rotation=90)
        axes.set_yticks(range(len(names)), plain)
    for row, cells in enumerate(counts if len(names) <= _NUMBERED else []):
        for column, cell in enumerate(cells):
            colour = "white" if shares[row][column] > 0.5 else "black"
            axes.text(column, row, f"{cell:,.0f}", ha="center", va="center", color=colour)
    return svg(drawn)


def svg(drawn: Any) -> str:
    """The `svg` element of a figure, without what comes before it in a file."""
    target = io.StringIO()
    with libraries.load("matplotlib").rc_context(_STYLE), warnings.catch_warnings():
        # It measures text in its own font, which has not all letters; it draws none of them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        drawn.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    text = target.getvalue()
    return text[text.index("<svg") :]


def _plain(name: str) -> str:
    """A dollar sign would begin a formula, and XML has no control characters.

    What is long is cut: beside it there would be no room for the matrix.
    """
    if len(name) > _LONGEST:
        name = f"{name[:_LONGEST]}..."
    return _NO_XML.sub("\ufffd", name).replace("$", r"\$")
