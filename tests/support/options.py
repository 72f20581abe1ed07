"""The options of every task there is."""

from labelmill.config.section import Section
from labelmill.ops import plugins

TASKS = "labelmill.tasks"


def task_options() -> dict[str, type[Section]]:
    """By the task's name, as it stands in a job file."""
    return {name: plugins.load_class(TASKS, name).Options for name in plugins.modules(TASKS)}
