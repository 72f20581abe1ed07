"""Extras: packages that only one command needs, missed before anything of it is done."""

import importlib.util

from labelmill.errors import ConfigError

# What `labelmill train` imports of its extra.
TRAIN = ("jinja2", "matplotlib", "peft", "sklearn", "scipy", "seqeval", "tensorboard")


def require(extra: str, *packages: str) -> None:
    """Raise ConfigError where a package of the extra is not installed; imports none of them."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"this command needs packages that are not installed: {', '.join(missing)}; install "
            f"them with: pip install 'labelmill[{extra}]'"
        )
