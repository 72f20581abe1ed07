"""Libraries: what the extra `evaluate` brings, imported at the moment it is needed."""

import importlib
from typing import Any

from labelmill.errors import ConfigError


def load(module: str) -> Any:
    """The module; raises ConfigError where its package is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"evaluation needs {module.partition('.')[0]!r}, which is not installed: "
            "pip install 'labelmill[evaluate]'"
        ) from error
