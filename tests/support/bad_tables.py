"""Parquet shards that are damaged, or hold what a task cannot use."""

import base64

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

from tests.support.bad_shards import BadShard
from tests.support.parquet_damage import flipped, not_utf8, paged, truncated, wiped
from tests.support.parquet_shards import parquet_bytes


def bad_tables() -> list[BadShard]:
    """Every shard of them."""
    return [*_damaged(), *_odd()]


def _table(count: int = 30) -> pa.Table:
    columns = {"id": list(range(count)), "text": [f"the cat <{n}> sat" for n in range(count)]}
    return pa.table(columns, pa.schema([("id", pa.int64()), ("text", pa.string())]))


def _damaged() -> list[BadShard]:
    whole = parquet_bytes(_table(), row_group_size=10)
    pages = paged(_table(), group_rows=10, page_rows=2)
    return [
        BadShard(
            name="page.parquet",
            data=flipped(pages, "<14>"),
            good=(*range(14), *range(20, 30)),
            breaks=((14, "CRC|checksum"),),
        ),
        BadShard(
            name="page-unchecked.parquet",
            data=flipped(paged(_table(), group_rows=10, page_rows=2, checksums=False), "<14>"),
            good=tuple(range(30)),
        ),
        BadShard(
            name="wiped.parquet",
            data=wiped(whole, 1, 1),
            good=(*range(10), *range(20, 30)),
            breaks=((10, ""),),
        ),
        BadShard(
            name="wiped-last.parquet",
            data=wiped(whole, 2, 1),
            good=tuple(range(20)),
            breaks=((20, ""),),
        ),
        BadShard(
            name="wiped-kept.parquet",
            data=wiped(whole, 2, 0),
            good=tuple(range(20)),
            breaks=((20, ""),),
            kept_only=True,
        ),
        *(
            BadShard(name=f"{name}.parquet", data=data, breaks=((0, reason),))
            for name, data, reason in (
                ("truncated", truncated(whole, 0.5), "magic"),
                ("no-footer", whole[:-20], "magic"),
                ("footer-too-long", whole[:-8] + b"\xff\xff\xff\x7fPAR1", "footer|metadata"),
                (
                    "footer-wiped",
                    whole[:-200] + b"\xff" * 192 + whole[-8:],
                    "deserialize|thrift|Thrift|metadata",
                ),
                ("magic-alone", b"PAR1", "size is 4 bytes"),
                ("magic-twice", b"PAR1PAR1", "8 bytes|footer"),
                ("nonsense", b"PAR1 is not all PAR1", "footer|metadata"),
                ("zeros", bytes(5000), "magic"),
                ("encrypted", _encrypted(plain_footer=False), "decrypt|encrypt"),
                ("a-page.parquet/is-html", b"<html>404 Not Found</html>" * 9, "magic"),
            )
        ),
        BadShard(
            name="encrypted-columns.parquet",
            data=_encrypted(plain_footer=True),
            breaks=((0, "decrypt|encrypt"),),
        ),
    ]


def _odd() -> list[BadShard]:
    ids = pa.array([0, 1, 2])
    texts = pa.array(["a", "b", "c"])
    return [
        _made("all-null", {"id": ids, "text": pa.nulls(3, pa.string())}, "field 'text' is null"),
        _made("type-null", {"id": ids, "text": pa.nulls(3)}, "field 'text' is null"),
        _made("no-text", {"id": ids}, "no column 'text' in this shard"),
        _made(
            "a-number",
            {"id": ids, "text": ids},
            "column 'text' is int64, expected a string",
            alone=True,
        ),
        _made(
            "a-list",
            {"id": ids, "text": [["a"], ["b"], []]},
            "is list<.*expected a string",
            alone=True,
        ),
        _made(
            "bytes",
            {"id": ids, "text": pa.array([b"a", b"b", b"c"])},
            "is binary, expected a string",
            alone=True,
        ),
        BadShard(
            name="invalid-utf-8.parquet",
            data=parquet_bytes(pa.table({"id": ids, "text": not_utf8([b"a", b"\xff\xfe", b"c"])})),
            good=(0, 2),
            rejects=((1, "invalid UTF-8 in column 'text'"),),
        ),
        BadShard(
            name="invalid-kept.parquet",
            data=parquet_bytes(
                pa.table({"id": ids, "text": texts, "more": not_utf8([b"a", b"b", b"\x80"])})
            ),
            good=(0, 1),
            rejects=((2, "column 'more': invalid UTF-8"),),
            kept_only=True,
        ),
        BadShard(
            name="some-null.parquet",
            data=parquet_bytes(pa.table({"id": ids, "text": ["a", None, ""]})),
            good=(0, 2),
            rejects=((1, "field 'text' is null"),),
        ),
        BadShard(name="no-rows.parquet", data=parquet_bytes(_table(0))),
        BadShard(name="no-groups.parquet", data=_without_groups()),
        BadShard(name="no-columns.parquet", data=parquet_bytes(pa.table({}))),
        BadShard(name="empty-groups.parquet", data=_empty_groups(), good=(0, 1)),
    ]


def _made(name: str, columns: dict[str, object], reason: str, *, alone: bool = False) -> BadShard:
    """A table all of whose rows are bad."""
    data = parquet_bytes(pa.table(columns))
    rejects = tuple((place, reason) for place in range(3))
    return BadShard(name=f"{name}.parquet", data=data, rejects=rejects, alone=alone)


def _without_groups() -> bytes:
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, _table().schema).close()
    return bytes(sink.getvalue().to_pybytes())


def _empty_groups() -> bytes:
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, _table().schema) as writer:
        for count in (0, 2, 0):
            writer.write_table(_table(count))
    return bytes(sink.getvalue().to_pybytes())


class _Keys(pe.KmsClient):
    """No secret at all: base64."""

    def __init__(self, config: pe.KmsConnectionConfig) -> None:
        super().__init__()
        self.config = config

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        del master_key_identifier
        return base64.b64encode(key_bytes)

    def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
        del master_key_identifier
        return base64.b64decode(wrapped_key)


def _encrypted(*, plain_footer: bool) -> bytes:
    config = pe.EncryptionConfiguration(
        footer_key="k", column_keys={"k": ["id", "text"]}, plaintext_footer=plain_footer
    )
    factory = pe.CryptoFactory(_Keys)
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), config)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, _table().schema, encryption_properties=properties) as writer:
        writer.write_table(_table())
    return bytes(sink.getvalue().to_pybytes())
