"""Evaluation page: one HTML file without any other, for people who were not there."""

from collections.abc import Callable
from importlib import resources

from labelmill.evaluation import libraries
from labelmill.evaluation.result import Evaluation
from labelmill.reports.evaluation import account, interval, number, ordered, remarks
from labelmill.reports.evaluation_figures import figures

_DRAWN = {"confusion"}  # tables that a figure shows as well


def ready() -> Callable[[Evaluation], str]:
    """`render`; raises ConfigError where jinja2 or matplotlib is not installed."""
    for name in ("jinja2", "markupsafe", "matplotlib"):
        libraries.load(name)
    return render


def render(found: Evaluation) -> str:
    """The page; raises ConfigError where jinja2 or matplotlib is not installed."""
    template = resources.files("labelmill.reports").joinpath("evaluation.html").read_text("utf-8")
    jinja2 = libraries.load("jinja2")
    markup = libraries.load("markupsafe").Markup
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = number
    environment.filters["interval"] = interval
    page: str = environment.from_string(template).render(
        found=found,
        account=account(found),
        metrics=ordered(found),
        remarks=remarks(found),
        tables=[table for table in found.told.tables if table.name not in _DRAWN],
        figures={title: markup(svg) for title, svg in figures(found).items()},
    )
    return page
