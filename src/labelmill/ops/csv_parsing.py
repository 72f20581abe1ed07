"""Records out of lines of delimited text, as RFC 4180 quotes them.

A cell that begins with a quote ends at the next single one, newlines and all; inside, two quotes
stand for one. A quote anywhere else in a cell is a character as any other. Cells are text as it
stands: nothing is stripped, guessed, or taken for null.

What is no record is told in a way that costs the fewest others. Where a quote does not close on
its line, and what follows up to where it does (or never does) is no record, one of two is wrong:
the quote, if most of the lines after it are records by themselves; then its line alone is bad. Or
the record is, and all of it is one bad row. A file of one column has no cells to count, and any
prose without quotes passes for records there.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from typing import Literal

Tail = Literal["more", "end", "broken"]  # what comes after the lines at hand

MAX_RECORD = 64 << 20  # bytes with the newline
UNCLOSED = "a quote that is opened is never closed"

_JUDGED = 1000  # lines that are asked whether a quote before them went astray
_SAID = (
    ("unexpected end of data", UNCLOSED),
    ("expected after", "text after the closing quote of a cell"),
    ("new-line character", "a carriage return outside quotes, without a newline"),
)
# The limit of the csv module is one of the whole process, and 128 KiB.
csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD))


def records(
    lines: Sequence[str], delimiter: str, columns: int | None, tail: Tail
) -> Iterator[tuple[int, list[str] | str]]:
    """(index of the line after the record, its cells or the reason why it is none), in order.

    A blank line is a record without cells. With `columns`, a record has as many cells. What
    remains unclosed at the end is left out where there is `more` or the stream is `broken`, and
    where it is not the first: it will be seen again with what follows.
    """
    at = 0
    while at < len(lines):
        feed = _Feed(lines, at)
        start = stop = at
        reason = ""
        try:
            for stop, cells in feed.records(delimiter):
                reason = _miscounted(cells, columns)
                if reason:
                    break
                yield stop, cells
                start = stop
        except csv.Error as error:
            reason, stop = _words(error), feed.at
        if not reason or (feed.ran_out and (start or tail == "more")):
            return
        if _astray(lines[start + 1 : stop], delimiter, columns):
            stop, reason = start + 1, UNCLOSED
        elif feed.ran_out and tail == "broken":
            return
        yield stop, reason
        at = stop


def _miscounted(cells: Sequence[str], columns: int | None) -> str:
    """What is wrong with a record that is not blank; '' where nothing is."""
    if not cells or columns is None or len(cells) == columns:
        return ""
    return f"{len(cells)} cells, expected {columns} as in the header"


class _Feed:
    """Lines from one on, for the csv module to pull."""

    def __init__(self, lines: Sequence[str], at: int) -> None:
        self._lines, self.at = lines, at
        self.ran_out = False  # more was asked for inside a record than there is

    def records(self, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """(index of the line after the record, its cells); raises csv.Error, `at` after its line.

        The module asks for lines one by one, and for no line before it needs it.
        """
        for cells in csv.reader(self._pulled(), delimiter=delimiter, strict=True):
            yield self.at, cells
        self.ran_out = False

    def _pulled(self) -> Iterator[str]:
        while self.at < len(self._lines):
            self.at += 1
            yield self._lines[self.at - 1]
        self.ran_out = True


def _astray(lines: Sequence[str], delimiter: str, columns: int | None) -> bool:
    """Whether most of the lines that are not blank are records by themselves."""
    if columns is None:
        return False
    cell = rf'(?:"(?:[^"]|"")*+"|[^"{delimiter}\r\n]*+)'
    record = re.compile(rf"{cell}(?:{delimiter}{cell}){{{columns - 1}}}\r?\n?")
    asked = [line for line in lines[:_JUDGED] if line.strip("\r\n")]
    return 2 * sum(record.fullmatch(line) is not None for line in asked) > len(asked)


def _words(error: csv.Error) -> str:
    return next((words for part, words in _SAID if part in str(error)), str(error))
