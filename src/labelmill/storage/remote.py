"""A tree behind a URL, through fsspec.

On S3, Google Cloud Storage and Azure a file is created by one conditional upload, "only if absent".
A lookalike of S3 may ignore the condition, so there the name is checked first as well; two writers
within one request of each other may then both win, and sealing a run compares checksums.
Where fsspec can only open, write and close (SFTP, SMB, HDFS, ...), a killed writer would leave half
a file: such stores can be read, and `create` refuses them.

Listings are never taken from a cache. Failures are repeated by the library where it does that,
else here; what remains is a StorageError.
"""

import contextlib
import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from labelmill.errors import StorageError
from labelmill.storage import failures, urls
from labelmill.storage.failures import named
from labelmill.storage.ranged import RangedFile
from labelmill.storage.store import Entry, FileMissing, Kind
from labelmill.storage.walking import descend

T = TypeVar("T")
Info = Mapping[str, Any]  # fsspec's description of one file

_S3 = {"s3", "s3a"}
_GOOGLE = {"gs", "gcs"}
_AZURE = {"abfs", "abfss", "az", "adl"}
_OBJECT_STORES = _S3 | _GOOGLE | _AZURE
_RETRYING = _OBJECT_STORES | {"hf"}  # their libraries repeat what failed
_FLAT = _GOOGLE | _AZURE | {"hf"}  # `find` is one flat listing, which raises what fails
_PAGE = 1000  # objects that S3 lists at once
_VERSIONS = ("ETag", "etag", "generation", "blob_id", "mtime", "LastModified", "created")

# fsspec's memory store checks and puts in two steps; this makes them one for all threads.
_ONE_WRITER = threading.Lock()


def is_object_store(url: str) -> bool:
    """Whether files behind the URL appear whole and are seen by every machine."""
    return urls.scheme(url) in _OBJECT_STORES


class RemoteStore:
    """The store at `root`, a path of the fsspec filesystem `fs`; `url` names both."""

    def __init__(self, url: str, fs: Any, root: str) -> None:
        self.url = url
        self._fs = fs
        self._root = root.rstrip("/")
        self._scheme = urls.scheme(url)

    @property
    def exclusive(self) -> bool:
        """See `Store.exclusive`."""
        return self._honours_conditions()

    def list(
        self, prefix: str = "", *, hidden: bool = True, depth: int | None = None
    ) -> Iterator[Entry]:
        """See `Store.list`."""
        top = self._full(prefix)
        for name, info in self._find(top, depth):
            inner = name.removeprefix(f"{top}/")
            if inner == name or name.endswith("/") or info["type"] != "file":
                continue  # the prefix itself, and the empty objects that stand for directories
            if _shown(inner.split("/"), hidden=hidden, depth=depth):
                path = f"{prefix}/{inner}" if prefix else inner
                yield self.stat(path) if info["size"] is None else _entry(path, info)

    def kind(self, path: str) -> Kind | None:
        """See `Store.kind`; over HTTP everything is a file."""
        if self._above_repositories(path):
            return "directory"
        try:
            info = self._info(path)
        except FileMissing:
            return None
        return "file" if info["type"] == "file" else "directory"

    def names(self, path: str) -> tuple[str, ...]:
        """See `Store.names`."""
        top = self._full(path)
        if self._above_repositories(path):
            return ()
        try:
            found = self._fresh(path, lambda: self._fs.ls(top, detail=False))
        except FileMissing:
            return ()
        return tuple(name.rstrip("/").rpartition("/")[2] for name in found)

    def stat(self, path: str) -> Entry:
        """See `Store.stat`."""
        info = self._info(path)
        if info["type"] != "file":
            raise FileMissing(f"{urls.join(self.url, path)!r} is a directory, not a file")
        return _entry(path, info)

    def open(self, path: str) -> BinaryIO:
        """See `Store.open`; on S3 an object that changes meanwhile is a StorageError."""
        full = self._full(path)
        # A cache would fetch more than asked for, and twice where columns are read in turns.
        handle = self._run(path, lambda: self._fs.open(full, "rb", cache_type="none"))
        if isinstance(handle, io.BytesIO):
            handle = io.BytesIO(handle.getvalue())  # fsspec's memory store hands one file to all
        size = getattr(handle, "size", None)
        if size is None:
            size = self.stat(path).size
        if size == 0 and self.kind(path) == "directory":  # s3fs opens it as an empty file
            raise FileMissing(f"{urls.join(self.url, path)!r} is a directory, not a file")
        file = RangedFile(
            handle, size, urls.join(self.url, path), lambda read: self._run(path, read)
        )
        return cast("BinaryIO", file)

    def create(self, path: str, data: bytes | memoryview) -> bool:
        """See `Store.create`."""
        content = bytes(data)
        return self._created(path, lambda: self._put(path, content))

    def create_from(self, path: str, file: Path) -> bool:
        """As `create`, of a file of this machine, however large.

        In parts where it is large: a killed writer leaves those that it has sent, which no listing
        shows.
        """
        full = self._full(path)
        option = {"overwrite": False} if self._scheme in _AZURE else {"mode": "create"}
        return self._created(path, lambda: self._fs.put_file(str(file), full, **option))

    def delete(self, path: str) -> None:
        """See `Store.delete`."""
        try:
            self._run(path, lambda: self._fs.rm_file(self._full(path)))
        except FileMissing:
            return
        except StorageError:
            # A bucket that is only appended to denies even the deletion of what is not there.
            if self.kind(path) is not None:
                raise

    def sweep(self) -> None:
        """See `Store.sweep`: an upload is there whole or not at all, so there is nothing."""

    def require_writable(self) -> None:
        """Raise StorageError where no file can be created: not whole, or, on S3, in no bucket."""
        self._refuse_unless_whole()
        if self._scheme in _S3:
            with self._in_a_bucket():
                self._page(**_request(self._root, 1))

    @contextlib.contextmanager
    def _in_a_bucket(self) -> Iterator[None]:
        try:
            yield
        except FileMissing as error:
            raise StorageError(f"{self.url!r}: there is no such bucket; create it first") from error

    def _created(self, path: str, put: Callable[[], None]) -> bool:
        """Whether `put`, a conditional upload, came first; one in flight is waited for."""
        self._refuse_unless_whole()
        if not self._honours_conditions() and self.kind(path) == "file":
            return False
        with self._in_a_bucket():
            return self._run(
                path, lambda: failures.persist(lambda: self._won(path, put), failures.contended)
            )

    def _won(self, path: str, put: Callable[[], None]) -> bool:
        try:
            put()
        except Exception as error:
            if not failures.taken(error) or self.kind(path) != "file":
                raise
            return False
        return True

    def _put(self, path: str, data: bytes) -> None:
        # s3fs would cut 100 MiB and more into parts; many lookalikes know the condition on a
        # single put only, and a killed writer would leave parts that cost money.
        options = {"chunksize": max(len(data), 1)} if self._scheme in _S3 else {}
        full = self._full(path)
        if self._scheme in _OBJECT_STORES:
            self._fs.pipe_file(full, data, mode="create", **options)
            return
        with _ONE_WRITER:
            self._fs.pipe_file(full, data, mode="create")

    def _honours_conditions(self) -> bool:
        if self._scheme not in _S3:
            return True
        with named(self.url):
            return ".amazonaws.com" in self._fs.s3.meta.endpoint_url

    def _refuse_unless_whole(self) -> None:
        if self._scheme not in _OBJECT_STORES | {"memory"}:
            raise StorageError(
                f"{self.url!r}: files on {self._scheme!r} cannot be created whole or not at all; "
                "write to a local disk, s3://, gs:// or abfs://"
            )

    def _find(self, top: str, depth: int | None) -> Iterator[tuple[str, Info]]:
        if self._scheme in _S3 and depth is None:
            yield from self._pages(top)
        elif self._scheme not in _FLAT:
            yield from descend(top, depth, self._members)
        else:
            options = {"maxdepth": depth} if self._scheme == "hf" else {}
            with contextlib.suppress(FileMissing):
                found = self._fresh("", lambda: self._fs.find(top, detail=True, **options))
                if isinstance(found, dict):  # adlfs gives a list where `top` is a file
                    yield from found.items()

    def _members(self, folder: str) -> Sequence[Info]:
        """What lies directly in a folder; nothing where it is absent, or gone by now."""
        try:
            found: Sequence[Info] = self._fresh(
                folder.removeprefix(self._root).lstrip("/"),
                lambda: self._fs.ls(folder, detail=True),
            )
        except FileMissing:
            return ()
        return found

    def _pages(self, top: str) -> Iterator[tuple[str, Info]]:
        """Page by page: s3fs gathers a listing first, and a million parts would take a gigabyte."""
        request = _request(top, _PAGE)
        while True:
            try:
                page = self._page(**request)
            except FileMissing:
                return
            for found in page.get("Contents", ()):
                facts = {"type": "file", "size": found["Size"]}
                yield f"{request['Bucket']}/{found['Key']}", found | facts
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def _page(self, **request: Any) -> Info:
        page: Info = self._run("", lambda: self._fs.call_s3("list_objects_v2", **request))
        return page

    def _info(self, path: str) -> Info:
        return self._fresh(path, lambda: self._fs.info(self._full(path)))

    def _fresh(self, path: str, call: Callable[[], T]) -> T:
        with named(self.url):
            self._fs.invalidate_cache()
        return self._run(path, call)

    def _run(self, path: str, call: Callable[[], T]) -> T:
        tries = 1 if self._scheme in _RETRYING else 4
        with named(urls.join(self.url, path)):
            return failures.persist(call, tries=tries)

    def _above_repositories(self, path: str) -> bool:
        """On the hub: a place that holds repositories, which cannot be listed there."""
        full = self._full(path)
        needed = 2 if full.startswith(("datasets", "spaces")) else 1
        return self._scheme == "hf" and full.count("/") < needed

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root


def _request(top: str, most: int) -> dict[str, Any]:
    """For one page of S3's listing of a bucket, or of what lies below a name in it."""
    bucket, _, key = top.partition("/")
    return {"Bucket": bucket, "Prefix": f"{key}/" if key else "", "MaxKeys": most}


def _shown(parts: list[str], *, hidden: bool, depth: int | None) -> bool:
    if depth is not None and len(parts) > depth:
        return False
    return hidden or not any(part.startswith((".", "_")) for part in parts)


def _entry(path: str, info: Info) -> Entry:
    if info["size"] is None:
        raise StorageError(
            f"{info['name']!r}: the server does not say how large it is; copy it first"
        )
    return Entry(path=path, size=int(info["size"]), version=_version(info))


def _version(info: Info) -> str:
    value = next((info[key] for key in _VERSIONS if info.get(key) is not None), "")
    # fsspec's memory store gives a datetime for one file, and a number for the same in a listing.
    seconds = value.timestamp() if isinstance(value, datetime) else value
    return str(seconds).strip('"')
