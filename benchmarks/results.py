"""Results: rounds of a comparison -> medians, ratios, JSON. It prints nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from benchmarks.contenders import YARDSTICKS
from benchmarks.rounds import Round

Told = dict[str, Any]


def collect(
    rounds: Sequence[Round],
    references: Mapping[str, Mapping[int, str]],
    rows: int,
    tokens: Mapping[str, int],
    rates: Sequence[Mapping[str, float]],
) -> Told:
    """Everything that the tables say, by corpus, and the rounds behind it.

    `rows` and `tokens` are those of each whole corpus, which the slow may have seen a part of.
    `references` are labels in float32 of some rows of each corpus; `rates` what was measured of the
    device's matrix rate, FLOP/s by precision. The best of all is what shares are of.
    """
    rate = max(max(one.values()) for one in rates)
    corpora = {}
    for corpus in dict.fromkeys(item.shards.corpus for item in rounds):
        mine = [item for item in rounds if item.shards.corpus == corpus]
        corpora[corpus] = _lines(mine, references[corpus], rows, tokens[corpus], rate)
    return {
        "matrix_rate": rate,
        "matrix_rates": list(rates),
        "corpora": corpora,
        "rounds": [_told(item) for item in rounds],
    }


def _lines(
    rounds: Sequence[Round], reference: Mapping[int, str], rows: int, tokens: int, rate: float
) -> dict[str, Told]:
    """Contender -> its line."""
    names = dict.fromkeys(item.name for item in rounds)
    by_name = {name: [item for item in rounds if item.name == name] for name in names}
    lines = {name: _line(mine, reference, rows, tokens, rate) for name, mine in by_name.items()}
    for one in lines.values():
        one["times"] = {
            yardstick: {key: lines[yardstick][key] / one[key] for key in _SPEEDS}
            for yardstick in YARDSTICKS
            if yardstick in lines
        }
    return lines


_SPEEDS = ("rows_per_second", "steady_rows_per_second")


def _line(
    rounds: Sequence[Round], reference: Mapping[int, str], rows: int, tokens: int, rate: float
) -> Told:
    """Medians of one contender over one corpus.

    Who ran on fewer rows may have had shorter ones: rows are counted by tokens.
    """
    first = rounds[0]
    seen, flops = first.shards.tokens, first.shards.flops
    each = median(seen / item.steady_seconds for item in rounds)  # tokens a second
    return {
        "rows": first.rows,
        "repeats": len(rounds),
        "rows_per_second": median(rows / _seconds(item, tokens) for item in rounds),
        "steady_rows_per_second": each * rows / tokens,
        "steady_tokens_per_second": each,
        "share_of_matrix_rate": flops and each * flops / seen / rate,
        "cpu_seconds_a_thousand": median(1000 * item.cpu_seconds / item.rows for item in rounds),
        "startup_seconds": median(item.seconds - item.steady_seconds for item in rounds),
        "peak": median(item.peak for item in rounds),
        "peak_process": median(item.peak_process for item in rounds),
        "agreement": _agreement(rounds[-1].labels, reference),
    }


def _seconds(item: Round, tokens: int) -> float:
    """Whole process; where it ran on fewer rows, its steady state in proportion to tokens."""
    return item.seconds + item.steady_seconds * (tokens / item.shards.tokens - 1)


def _agreement(found: Mapping[int, str], reference: Mapping[int, str]) -> float | None:
    if not found:
        return None
    return sum(found.get(row) == label for row, label in reference.items()) / len(reference)


def _told(item: Round) -> Told:
    told = asdict(item)
    return told | {"labels": len(told["labels"])}
