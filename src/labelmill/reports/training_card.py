"""Training card: what is to be known of a trained model, beside the model itself.

A Markdown file as the Hugging Face hub shows it, and a page with the curves. Both are made of the
result's own file alone.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from labelmill.reports.training_figures import figures

_FEW = 12  # rows of a table on the card; the page has all
Told = Mapping[str, Any]


def papers(told: Told) -> dict[str, bytes]:
    """The card and the page, by the names of their files."""
    return {"README.md": card(told).encode(), "training.html": page(told).encode()}


def card(told: Told) -> str:
    """The card, in Markdown."""
    parts = [_front(told), f"# {told['task']}, fine-tuned from {told['model']}\n", _summary(told)]
    parts += [_label(told), _measured(told), _data(told), _course(told), _identity(told)]
    return "\n".join(part for part in parts if part)


def page(told: Told) -> str:
    """The page: one HTML file without any other."""
    template = resources.files("labelmill.reports").joinpath("training.html").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = _number
    judged = told["judged"] or {"tables": {}}
    return environment.from_string(template).render(
        told=told,
        command=command(told),
        spread=_spread(told),
        account=dict(_account(told)),
        metrics=list(_metrics(told)),
        tables={name: table for name, table in judged["tables"].items() if name != "confusion"},
        figures={title: Markup(svg) for title, svg in figures(told).items()},  # noqa: S704 - ours
    )


def command(told: Told) -> str:
    """How to label with the result: a job file, and what runs it.

    With the options that it was trained with, for a row is to be read as it was learned.
    """
    columns = f"\n  columns: {json.dumps(told['columns'])}" if told["columns"] else ""
    wanted = told["settings"].get("data.format", "auto")
    form = f"\n  format: {wanted}" if wanted != "auto" else ""
    options = f"options: {json.dumps(told['options'])}\n" if told["options"] else ""
    return (
        "cat > label.yaml <<'END'\n"
        f"task: {told['task']}\n"
        f"model: {{path: {json.dumps(told['path'])}}}\n"
        f"source:\n  path: corpus/  # what is to be labelled{form}{columns}\n"
        f"{options}"
        "output: {path: labelled/}\n"
        "END\n"
        "labelmill label label.yaml"
    )


def _front(told: Told) -> str:
    lines = ["---", f"pipeline_tag: {told['task']}", "library_name: transformers"]
    return "\n".join([*lines, f"base_model: {json.dumps(told['model'])}", "---", ""])


def _summary(told: Told) -> str:
    return _table(("", ""), _account(told))


def _account(told: Told) -> Iterator[tuple[str, str]]:
    data = told["data"]
    yield "started from", str(told["model"])
    yield "learned from", f"{data['train']:,} examples, {told['epochs']:.3g} epochs"
    yield "measured by", f"{data['validation']:,} examples that were kept back"
    if data["rejected"]:
        yield "left out", f"{data['rejected']:,} rows that cannot be learned from"
    yield "steps", f"{told['steps']:,}, of which the one at {told['best_step']:,} was kept"
    yield "workers", f"{told['workers']} on {told['device']}, {told['precision']}"
    yield "finished", str(told["finished"])


def _label(told: Told) -> str:
    return f"## To label with it\n\n```sh\n{command(told)}\n```\n"


def _measured(told: Told) -> str:
    rows = list(_metrics(told))
    if not rows:
        return ""
    note = "\nIntervals hold 95% of 1,000 bootstrap samples of these rows.\n"
    said = note if any(row[2] for row in rows) else ""
    listed = _table(("metric", "value", "95%"), rows)
    return f"## Measured on rows that were kept back\n\n{listed}{said}"


def _metrics(told: Told) -> Iterator[tuple[str, str, str]]:
    """Each with its interval, where there is one."""
    judged = told["judged"]["metrics"] if told["judged"] else {}
    for name, value in told["metrics"].items():
        if name not in judged:
            yield name, _number(value), ""
    for name, measured in judged.items():
        ends = measured["interval"]
        between = f"{_number(ends[0])} to {_number(ends[1])}" if ends else ""
        yield name, _number(measured["value"]), between


def _data(told: Told) -> str:
    counts = sorted(told["data"]["counts"].items(), key=lambda pair: -pair[1])
    if not counts:
        return ""
    rows = [(name, f"{count:,}") for name, count in counts]
    more = f"\n... and {len(rows) - _FEW} more\n" if len(rows) > _FEW else ""
    listed = _table(("label", "times"), rows[:_FEW])
    paragraphs = ["## Labels learned from", _spread(told), f"{listed}{more}"]
    return "\n\n".join(part for part in paragraphs if part)


def _spread(told: Told) -> str:
    """How far from one another labels are that are there; '' where there are not two."""
    there = [count for count in told["data"]["counts"].values() if count]
    if len(there) < 2:
        return ""
    times = f"{max(there) / min(there):.1f}"
    return f"The commonest label occurs {times} times as often as the rarest that is there."


def _course(told: Told) -> str:
    measured = [entry for entry in told["history"] if "eval_loss" in entry]
    if not measured:
        return ""
    names = ("eval_loss", f"eval_{told['metric']}")
    rows = [
        (f"{one['epoch']:.2f}", f"{one['step']:,}", *(_number(one.get(name)) for name in names))
        for one in measured
    ]
    return f"## Course\n\n{_table(('epoch', 'step', 'loss', told['metric']), rows)}"


def _identity(told: Told) -> str:
    rows = [
        ("fingerprint", told["fingerprint"]),
        ("base model's files", told["model_digest"]),
        *((f"files of {name}", value) for name, value in told["data"]["digests"].items()),
        ("versions", ", ".join(f"{n} {told[n]}" for n in ("labelmill", "transformers", "torch"))),
    ]
    settings = {
        n: v for n, v in told["settings"].items() if n.startswith(("training.", "options."))
    }
    listed = [(name, json.dumps(value)) for name, value in sorted(settings.items())]
    return f"## Identity\n\n{_table(('', ''), rows)}\n{_table(('setting', 'value'), listed)}"


def _table(columns: Sequence[str], rows: Any) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join([*lines, ""])


def _cell(value: Any) -> str:
    """A label such as <unk> would be taken for HTML, and not be seen."""
    return str(value).replace("|", r"\|").replace("<", r"\<").replace("\n", " ")


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "" if value is None else str(value)
