"""What a failure of a disk or network means: missing, taken, worth another try, or just an error.

The libraries behind fsspec have error trees of their own and are not imported here; a failure is
judged by its family, its HTTP status or the error code that its cause carries.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from labelmill.errors import LabelmillError, StorageError
from labelmill.storage import urls
from labelmill.storage.store import FileMissing

T = TypeVar("T")

PAUSES = (0.1, 0.5, 2.0)  # seconds before each further try
_NETWORK = {
    "aiohttp",
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "requests",
    "urllib3",
    "paramiko",
}
_GONE = (404, 410)
_REFUSED = (401, 403)
_NO_URL = "InvalidUrlClientError"  # of aiohttp: no server can be asked for it
_NO_BUCKET = "ParamValidationError"  # of botocore: no request can be made of the name
_NO_KEY = "non key-like path"  # as s3fs says of a bucket that is opened as if it were a file
# What tells who one is, by scheme; libraries name the lack of it in as many ways as there are.
_CREDENTIALS = {
    "s3": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, on every machine; "
    "FSSPEC_S3_ANON=true reads a public bucket without",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS on every machine, or run 'gcloud auth "
    "application-default login'; FSSPEC_GS_TOKEN=anon reads a public bucket without",
    "abfs": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY on every machine",
}
_ENDPOINT = "check the network, AWS_ENDPOINT_URL and AWS_REGION"
_CODES = {  # of S3, where what it says leaves a person alone
    "400": "the credentials may have expired, or AWS_REGION be another one than the bucket's",
    "NotImplemented": "if it was a file to be created: the store knows no upload 'only if absent' "
    "(If-None-Match), which must be there; write to another store or to a local disk",
}
_MISTAKES = (AssertionError, AttributeError, NameError, TypeError)  # of a programmer, not of a disk


def missing(error: Exception) -> bool:
    """Whether the store said that there is no such file."""
    if not isinstance(error, FileNotFoundError):
        return type(error).__name__ in {_NO_BUCKET, _NO_URL} or (
            isinstance(error, ValueError) and _NO_KEY in str(error)
        )
    # fsspec's HTTP filesystem answers this for whatever fails, even for a refused connection.
    cause = error.__cause__
    if type(cause).__name__ == _NO_URL:
        return True
    return not (_of_network(cause) and getattr(cause, "status", None) not in _GONE)


def taken(error: Exception) -> bool:
    """Whether a conditional upload found the name in use."""
    # s3fs makes a FileExistsError of it only where the store names the condition, as AWS does.
    return isinstance(error, FileExistsError) or _code(error) in ("PreconditionFailed", "412")


def contended(error: Exception) -> bool:
    """Whether a conditional upload met another one in flight, and is to be repeated."""
    return _code(error) in ("ConditionalRequestConflict", "OperationAborted", "409")


def transient(error: Exception) -> bool:
    """Whether the same call may well succeed a moment later."""
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status >= 500 or status in (408, 429)
    if isinstance(error, FileNotFoundError) and not missing(error):
        return (
            error.__cause__ is None
            or not isinstance(error.__cause__, Exception)
            or (transient(error.__cause__))
        )
    return isinstance(error, ConnectionError | TimeoutError) or _of_network(error)


def persist(
    call: Callable[[], T], again: Callable[[Exception], bool] = transient, *, tries: int = 4
) -> T:
    """The result of `call`, repeated with growing pauses while its failure calls for it."""
    for pause in PAUSES[: tries - 1]:
        try:
            return call()
        except Exception as error:
            if not again(error):
                raise
        time.sleep(pause)
    return call()


@contextmanager
def named(url: str) -> Iterator[None]:
    """Turn whatever a disk, a network or its library raises into a StorageError naming `url`."""
    try:
        yield
    except (LabelmillError, *_MISTAKES):
        raise
    except Exception as error:  # every library behind fsspec has its own tree
        raise _storage_error(error, url) from error


def _storage_error(error: Exception, url: str) -> StorageError:
    if missing(error):
        return FileMissing(f"{url!r} does not exist")
    if _refused(error):
        return StorageError(
            f"{url!r}: access denied ({_reason(error)}); check the permissions or the credentials"
        )
    if url.startswith("hf://") and (_of_network(error) or isinstance(error, ConnectionError)):
        return StorageError(
            f"{url!r}: the hub cannot be reached ({_reason(error)}); check the network, set "
            "HF_ENDPOINT to a mirror, or download the files and name their directory"
        )
    advice = _advice(error, urls.family(url))
    return StorageError(f"{url!r}: {_reason(error)}{f'; {advice}' if advice else ''}")


def _refused(error: Exception) -> bool:
    told = (getattr(each, "status", None) for each in (error, error.__cause__))
    return isinstance(error, PermissionError) or any(status in _REFUSED for status in told)


def _advice(error: Exception, family: str) -> str:
    """What to do, where the kind of the error says so."""
    kind = type(error).__name__
    if "Credential" in kind:
        return _CREDENTIALS.get(family, "")
    if family != "s3":
        return ""
    return _ENDPOINT if "Connect" in kind else _CODES.get(_code(error), "")


def _reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        return _reason(error.__cause__)
    text = getattr(error, "strerror", None) or str(error)
    return text if isinstance(error, OSError) and text else f"{type(error).__name__}: {text}"


def _of_network(error: BaseException | None) -> bool:
    return type(error).__module__.partition(".")[0] in _NETWORK


def _code(error: Exception) -> str:
    response: Any = getattr(error.__cause__, "response", None)
    return str(response["Error"].get("Code", "")) if isinstance(response, dict) else ""
