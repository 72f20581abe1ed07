"""From the name of a place to its store.

Storage options are fsspec's and the libraries' own: AWS_PROFILE, AWS_ENDPOINT_URL,
GOOGLE_APPLICATION_CREDENTIALS and so on, FSSPEC_<SCHEME>_<OPTION> in the environment, or files in
~/.config/fsspec. A store is reopened by its url in another process, so options travel no other way.
"""

from pathlib import Path
from typing import Any, BinaryIO

import fsspec
import pyarrow.fs

from labelmill.errors import ConfigError
from labelmill.storage import urls
from labelmill.storage.failures import named
from labelmill.storage.local import LocalStore
from labelmill.storage.remote import RemoteStore
from labelmill.storage.store import Store

_EXTRAS = {"s3": "s3", "gs": "gcs", "abfs": "azure"}


class UnknownScheme(ConfigError):  # noqa: N818 - reads as the sentence it is
    """No store is known for a scheme in a URL, at its head or behind '::'."""


def open_store(url: str) -> Store:
    """The store at a local path ('~' and relative too), a file:// URL or any URL that fsspec knows.

    Nothing needs to be there. Raises UnknownScheme, also for a URL with '::' in it, and ConfigError
    for a package that is not installed.
    """
    place = urls.absolute(url)
    return LocalStore(place) if urls.is_local(place) else open_remote(place)


def open_remote(url: str) -> RemoteStore:
    """The store at a URL; raises as `open_store` does."""
    return RemoteStore(url, *_filesystem(url))


def open_filesystem(url: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """What libraries that know Arrow's filesystems reach the same URL by, and the path there."""
    fs, root = _filesystem(url)
    return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fs)), root


def open_file(url: str) -> BinaryIO:
    """The file at a path or URL, as `Store.open` gives it; raises FileMissing."""
    parent, name = urls.split_url(urls.absolute(url))
    return open_store(parent).open(name)


def canonical(url: str) -> str:
    """One name for one place, for comparing: symbolic links followed, aliases of schemes undone."""
    place = urls.absolute(url)
    if urls.is_local(place):
        with named(place):
            return str(Path(place).resolve())
    return f"{urls.family(place)}://{place.partition('://')[2]}"


def is_link(url: str) -> bool:
    """Whether the place itself, not a folder above it, is a symbolic link of a local disk."""
    place = urls.absolute(url)
    return urls.is_local(place) and Path(place).is_symlink()


def _filesystem(url: str) -> tuple[Any, str]:
    """The filesystem of fsspec, and the path there."""
    _require(url)
    if "::" in url:  # fsspec would take what follows for the name of another store
        raise UnknownScheme(
            f"{url!r}: no URL may have '::' in it; rename that, or name what is above"
        )
    # A listing kept by the process would hide what other workers write, and grows with the run.
    options = {"use_listings_cache": False} if _extra(url) else {}
    with named(url):
        fs, root = fsspec.url_to_fs(url, **options)
    return fs, root


def _require(url: str) -> None:
    scheme = urls.scheme(url)
    try:
        fsspec.get_filesystem_class(scheme)
    except (ValueError, ImportError) as error:
        extra = _extra(url)  # not every alias is known before its package is there
        if extra is None and isinstance(error, ValueError):
            raise UnknownScheme(f"{url!r}: no store is known for {scheme + '://'!r}") from error
        advice = f"pip install 'labelmill[{extra}]'" if extra else str(error)
        raise ConfigError(f"{url!r} needs a package that is not installed: {advice}") from error


def _extra(url: str) -> str | None:
    """Of this package, that brings what reaches an object store."""
    return _EXTRAS.get(urls.family(url))
