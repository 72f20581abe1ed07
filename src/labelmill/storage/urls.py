"""Names of places: absolute local paths and URLs. Nothing here touches a disk or network.

A local place is always written as an absolute path, never as a file:// URL. Characters such as
'#', '%' and '?' have no meaning of their own; only file:// URLs are percent-decoded.
"""

import os
import re
from pathlib import Path
from urllib.parse import unquote

from labelmill.errors import ConfigError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
_FILE = "file://"
_ALIASES = {"s3a": "s3", "gcs": "gs", "abfss": "abfs", "az": "abfs"}


def is_local(url: str) -> bool:
    """Whether the place is a local path; call it with what `absolute` returned."""
    return _URL.fullmatch(url) is None


def scheme(url: str) -> str:
    """The part before '://' in lower case; '' for a local path."""
    match = _URL.fullmatch(url)
    return match[1].lower() if match else ""


def family(url: str) -> str:
    """The scheme under one name: 's3' for 's3a' too."""
    found = scheme(url)
    return _ALIASES.get(found, found)


def absolute(place: str) -> str:
    """A path, '~' path, file:// URL or URL as this package writes it, without a trailing '/'.

    Raises ConfigError for the home directory of nobody who is known here.
    """
    if place.lower().startswith(_FILE):
        place = unquote(place[len(_FILE) :].removeprefix("localhost"))
    match = _URL.fullmatch(place)
    if match:
        return f"{match[1].lower()}://{match[2].rstrip('/')}"
    try:
        path = Path(place).expanduser()
    except RuntimeError as error:
        head = Path(place).parts[0]
        raise ConfigError(
            f"{place!r}: no home directory is known for {head!r}; "
            "write all of the path, or './' before it"
        ) from error
    # Path.absolute keeps '..', which would give one file several names.
    return os.path.abspath(path)  # noqa: PTH100


def is_absolute(place: str) -> bool:
    """Whether the place means the same wherever one stands: a URL, or a path from the root."""
    return _URL.fullmatch(place) is not None or os.path.isabs(place)  # noqa: PTH117


def split_url(url: str) -> tuple[str, str]:
    """Parent and name of an absolute place; the name is '' where there is no parent to be in.

    On an object store 'a//b' is another object than 'a/b': its name is '/b'.
    """
    match = _URL.fullmatch(url)
    if match is None:
        return str(Path(url).parent), Path(url).name
    parent, _, name = match[2].rpartition("/")
    above = parent.rstrip("/") or parent
    return f"{match[1]}://{above}", parent[len(above) :] + name


def join(url: str, path: str) -> str:
    """The place at a relative path below another; the inverse of `split_url`."""
    if not path:
        return url
    return url + path if url.endswith("/") else f"{url}/{path}"
