"""Media: the columns of a split whose values are bytes, or say where the bytes lie.

A path is relative to the directory of its shard, from where '..' leads up; a URL or an absolute
path is taken as it is. What is not there, or can be nowhere, makes its row bad; a disk or network
that fails is an error, as everywhere.
"""

import posixpath
from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from labelmill.ops.fields import Kind
from labelmill.splits import Rows
from labelmill.storage import (
    FileMissing,
    UnknownScheme,
    is_absolute,
    is_local,
    join,
    open_file,
    split_url,
)

MEDIA = "media"
_SHOWN = 200  # characters of a path in a reason: some are the picture itself, as text


def located(rows: Rows, kinds: Mapping[str, Kind], shard_url: str) -> Rows:
    """The rows with every path of a media field made absolute."""
    root, _ = split_url(shard_url)
    fields = dict(rows.fields)
    for name in _names(rows, kinds):
        paths = pc.struct_field(fields[name], "path").to_pylist()
        absolute = [
            path if path is None or is_absolute(path) else _below(root, path) for path in paths
        ]
        fields[name] = _media(pc.struct_field(fields[name], "bytes"), absolute)
    return replace(rows, fields=fields)


def fetched(rows: Rows, kinds: Mapping[str, Kind]) -> Rows:
    """The rows with media fields as large_binary; bad where there is no such file.

    A media field must be there: rows without are bad by now.
    """
    for name in _names(rows, kinds):
        rows = _fetched(rows, name)
    return rows


def told(rows: Rows, located_: Rows, kinds: Mapping[str, Kind]) -> Rows:
    """The rows without what the media fields hold: their paths stand there, where there are any."""
    paths = {name: pc.struct_field(located_.fields[name], "path") for name in _names(rows, kinds)}
    return replace(rows, fields={**rows.fields, **paths})


def _below(root: str, path: str) -> str:
    """The place; behind a URL nobody but us follows '.' and '..', as a disk does."""
    place = join(root, path)
    if is_local(place) or not {".", ".."} & set(path.split("/")):
        return place
    scheme, _, rest = place.partition("://")
    return f"{scheme}://{posixpath.normpath(rest)}"


def _fetched(rows: Rows, name: str) -> Rows:
    column = rows.fields[name]
    contents = pc.struct_field(column, "bytes").to_pylist()
    paths = pc.struct_field(column, "path").to_pylist()
    errors = rows.error.to_pylist()
    for row, path in enumerate(paths):
        if errors[row] is not None or contents[row] is not None:
            continue
        try:
            with open_file(path) as file:
                contents[row] = file.read()
        except (FileMissing, UnknownScheme):
            shown = path if len(path) <= _SHOWN else f"{path[:_SHOWN]}..."
            errors[row] = f"field {name!r}: there is no file {shown!r}"
    values = pa.chunked_array([pa.array(contents, pa.large_binary())])
    rows = rows.with_error(pa.chunked_array([pa.array(errors, pa.string())]))
    return replace(rows, fields={**rows.fields, name: values})


def _media(contents: pa.ChunkedArray, paths: list[str | None]) -> pa.ChunkedArray:
    arrays = [contents.combine_chunks(), pa.array(paths, pa.large_string())]
    return pa.chunked_array([pa.StructArray.from_arrays(arrays, ["bytes", "path"])])


def _names(rows: Rows, kinds: Mapping[str, Kind]) -> list[str]:
    return [name for name in rows.fields if kinds.get(name) == MEDIA]
