"""Room: whether an output directory is there or can be made, told before anything is started."""

import os
from pathlib import Path

from labelmill.errors import ConfigError
from labelmill.storage import urls
from labelmill.storage.opening import open_remote


def refuse_no_room(output: str) -> None:
    """Raise ConfigError where `output.path` is no directory that can be made and written.

    Looks, does not write. Of what lies behind a URL its store knows, and raises StorageError.
    """
    place = urls.absolute(output)
    if not urls.is_local(place):
        open_remote(place).require_writable()
        return
    there = next(each for each in (Path(place), *Path(place).parents) if os.path.lexists(each))
    if not there.is_dir():
        where = "is" if str(there) == place else f"is below {str(there)!r}, which is"
        raise ConfigError(
            f"output.path: {output!r} {where} a file, expected a directory or a place where one "
            "can be made; name another one"
        )
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(
            f"output.path: {output!r} cannot be written, as {str(there)!r} may not be written; "
            "name a directory where you may write, or get the right to"
        )
