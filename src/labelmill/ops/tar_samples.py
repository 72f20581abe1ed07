"""Samples of a tar archive, as WebDataset lays them out: files that stand together under one key.

`dir/0001.seg.png` is the member `seg.png` of the sample `dir/0001`; the key ends at the first dot
of the file's name. Files without a dot or without a key, directories, links, and names between
double underscores belong to no sample. The archive is read once, front to back; memory holds one
sample, and of that only the members that are asked for.
"""

import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self, cast

from typing_extensions import override

from labelmill.ops.decompression import Stream

MAX_MEMBER = 256 << 20  # bytes
_NAME = re.compile(r"((?:.*/|)[^./][^./]*)\.([^/]+)", re.DOTALL)
_META = re.compile(r"__.*__", re.DOTALL)
_BUFFER_BYTES = 1 << 20


class BrokenArchive(Exception):  # noqa: N818 - a verdict, caught by the format
    """The archive cannot be followed any further; the message says why."""


@dataclass(slots=True, kw_only=True)
class Sample:
    """The members of one key. `names` has all of them, `members` the contents that were read."""

    key: str  # bytes that are no UTF-8 are lone surrogates
    names: list[str] = field(default_factory=list)
    members: dict[str, bytes] = field(default_factory=dict)
    error: str | None = None


def samples(stream: Stream, wanted: Callable[[int, str], bool]) -> Iterator[Sample]:
    """Every sample in order; `wanted(number, name)` says whether to read a member.

    Raises BrokenArchive after the last sample that is known to be complete.
    """
    archive = _opened(stream)
    sample, number = None, -1
    for member in _members(archive, stream):
        parts = _NAME.fullmatch(member.name) if member.isreg() else None
        if parts is None or _META.fullmatch(parts[1].rpartition("/")[2]):
            continue
        key, name = parts[1], parts[2].lower()
        if sample is None or sample.key != key:
            if sample is not None:
                yield sample
            sample, number = Sample(key=key), number + 1
        _add(sample, name, member, (archive, stream) if wanted(number, name) else None)
    if sample is not None:
        yield sample


class _File:
    """The stream as the file that tarfile reads."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self._held = stream, b""

    def read(self, size: int) -> bytes:
        parts, have = [self._held], len(self._held)
        while have < size and (piece := self._stream.read()):
            parts.append(piece)
            have += len(piece)
        data = b"".join(parts)
        self._held = data[size:]
        return data[:size]


class _Member(tarfile.TarInfo):
    """A header. tarfile takes one that it cannot read for the end of the archive; we do not."""

    @classmethod
    @override
    def fromtarfile(cls, archive: Any) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            archive.verdict = error
            raise


def _opened(stream: Stream) -> tarfile.TarFile:
    if stream.damage is not None:
        raise BrokenArchive(stream.damage.reason)
    try:
        return tarfile.open(
            fileobj=cast(Any, _File(stream)),
            mode="r|",
            bufsize=_BUFFER_BYTES,
            tarinfo=_Member,
            encoding="utf-8",
        )
    except tarfile.TarError as error:
        raise BrokenArchive(_words(stream, f"no tar archive: {error}")) from error


def _members(archive: tarfile.TarFile, stream: Stream) -> Iterator[tarfile.TarInfo]:
    try:
        while (member := archive.next()) is not None:
            cast(Any, archive).members.clear()  # it would remember all of them
            yield member
    except tarfile.TarError as error:
        raise BrokenArchive(_words(stream, str(error))) from error
    verdict = getattr(archive, "verdict", None)
    if not isinstance(verdict, tarfile.EOFHeaderError):  # type: ignore[attr-defined]  # not in typeshed
        reason = "the archive ends without its end marker"
        if isinstance(verdict, tarfile.InvalidHeaderError):  # type: ignore[attr-defined]
            reason = f"a damaged header: {verdict}"
        raise BrokenArchive(_words(stream, reason))
    _require_sound(stream)


def _require_sound(stream: Stream) -> None:
    """Read what follows the end marker: a codec's checksum stands at the very end."""
    while stream.read():
        pass
    if stream.damage is not None:
        raise BrokenArchive(stream.damage.reason)


def _add(
    sample: Sample,
    name: str,
    member: tarfile.TarInfo,
    source: tuple[tarfile.TarFile, Stream] | None,
) -> None:
    if name in sample.names:
        sample.error = sample.error or f"member {name!r} stands twice"
        return
    sample.names.append(name)
    if source is None:
        return
    if member.size > MAX_MEMBER:
        sample.error = f"member {name!r} has {member.size} bytes, more than {MAX_MEMBER}"
        return
    archive, stream = source
    try:
        content = archive.extractfile(member)
        sample.members[name] = b"" if content is None else content.read()
    except tarfile.TarError as error:
        raise BrokenArchive(_words(stream, str(error))) from error


def _words(stream: Stream, reason: str) -> str:
    """The decoder's reason, where the archive ends because its stream does."""
    return reason if stream.damage is None else stream.damage.reason
