"""Files that are not what their names say, cut, corrupt, empty, or strangely named."""

import bz2
import gzip
import hashlib
import lzma
import zlib
from collections.abc import Callable, Mapping

import zstandard

from tests.support.bad_shards import BadShard, row, rows

PACK: Mapping[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "zst": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
    "bz2": lambda data: bz2.compress(data, 1),
    "xz": lambda data: lzma.compress(data, preset=0),
}
_NAMES = {"gz": "gzip", "zst": "zstd", "bz2": "bzip2", "xz": "xz"}
_HEADERS = {"gz": 10, "zst": 4, "bz2": 4, "xz": 12}  # bytes before what is checked
_UNPACK: Mapping[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: zlib.decompressobj(31).decompress(data),
    "zst": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    "bz2": lambda data: bz2.BZ2Decompressor().decompress(data),
    "xz": lambda data: lzma.LZMADecompressor().decompress(data),
}
ODD_NAMES = (
    "with space.jsonl", " at both ends .jsonl", "new\nline.jsonl", "tab\t.jsonl", "\x7f\x01.jsonl",
    "caf\u00e9 \u4f60\u597d \U0001f600.jsonl", "cafe\u0301.jsonl", "\u202egnp.jsonl", "UPPER.JSONL",
    "a#b.jsonl", "100%.jsonl", "%41.jsonl", "what?.jsonl", "star*.jsonl", "[0].jsonl", "{x}.jsonl",
    "-rf.jsonl", "--help.jsonl", "back\\slash.jsonl", "'quotes\".jsonl", "$HOME.jsonl", "~.jsonl",
    "a;b&c|d.jsonl", "a:b.jsonl", "s3:/x.jsonl", "part=1/x=%2F.jsonl", "two.dots..jsonl",
    "n" * 232 + ".jsonl", "\u4f60" * 77 + ".jsonl", "d/" * 60 + "deep.jsonl", "a.jsonl/b.jsonl",
    "a.parquet-00000.parquet/x.jsonl", "x.jsonl-00001.jsonl",
)  # fmt: skip


def bad_files() -> list[BadShard]:
    """Every shard of them."""
    packed = [shard for codec in PACK for shard in _packed(codec)]
    return [*packed, *_misnamed(), *_empty(), *_oddly_named()]


def _packed(codec: str) -> list[BadShard]:
    name, pack = _NAMES[codec], PACK[codec]
    two, long = rows(2), rows_of_noise(300)
    cut = pack(long)[: len(pack(long)) // 2]
    left = _UNPACK[codec](cut)
    whole = left.rfind(b"\n") + 1
    broken = pack(rows(3, 2))
    head = _HEADERS[codec]
    return [
        BadShard(
            name=f"members.jsonl.{codec}", data=pack(two) + pack(rows(2, 2)), good=(0, 1, 2, 3)
        ),
        BadShard(
            name=f"truncated.jsonl.{codec}",
            data=cut,
            good=tuple(range(left.count(b"\n"))),
            breaks=((whole, f"{name}: the stream ends before its end marker"),),
        ),
        BadShard(
            name=f"corrupt.jsonl.{codec}",
            data=pack(two) + broken[:head] + b"\xff" * 8 + broken[head + 8 :],
            good=(0, 1),
            breaks=((len(two), f"{name}: "),),
        ),
        BadShard(
            name=f"checksum.jsonl.{codec}",
            data=pack(two) + flip_checksum(codec, pack(rows(3, 2))),
            good=(0, 1, 2, 3, 4),
            breaks=((len(rows(5)), f"{name}: "),),
        ),
        BadShard(
            name=f"garbage-after.jsonl.{codec}",
            data=pack(two) + b"garbage",
            good=(0, 1),
            breaks=((len(two), "garbage after the end"),),
        ),
        BadShard(
            name=f"bad-line-inside.jsonl.{codec}",
            data=pack(row(0) + b"\n{\n" + row(2)),
            good=(0, 2),
            rejects=((len(row(0)) + 1, "not JSON"),),
        ),
        BadShard(
            name=f"is-plain.jsonl.{codec}",
            data=two,
            breaks=((0, f"named .{codec} but is not {name}"),),
        ),
        BadShard(
            name=f"is-{codec}.jsonl", data=pack(two), breaks=((0, f"named .jsonl but is {name}"),)
        ),
        BadShard(name=f"nothing-packed.jsonl.{codec}", data=pack(b"")),
    ]


def rows_of_noise(count: int) -> bytes:
    """Good lines that cannot be packed to less than half of their size."""
    return b"".join(
        row(n, pad=hashlib.shake_128(str(n).encode()).hexdigest(500)) + b"\n" for n in range(count)
    )


def flip_checksum(codec: str, data: bytes) -> bytes:
    """All is there, but the sum at the end of a member is wrong."""
    place = {"gz": len(data) - 8, "zst": len(data) - 1, "bz2": len(data) - 3, "xz": len(data) - 24}
    at = place[codec]
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def _misnamed() -> list[BadShard]:
    return [
        BadShard(name="is-zst.jsonl.gz", data=PACK["zst"](rows(2)), breaks=((0, "is not gzip"),)),
        BadShard(
            name="twice-packed.jsonl.gz",
            data=PACK["gz"](PACK["gz"](rows(2))),
            rejects=((0, "invalid UTF-8"),),
        ),
        BadShard(name="is-json.parquet", data=rows(2), breaks=((0, "magic"),)),
        BadShard(
            name="is-parquet.jsonl",
            data=b"PAR1\x15\x04" + rows(1),
            breaks=((0, "this is Parquet"),),
        ),
        BadShard(
            name="is-zip.jsonl",
            data=b"PK\x03\x04\x14\0" + rows(1),
            breaks=((0, "is a ZIP archive"),),
        ),
        BadShard(name="is-binary.jsonl", data=bytes(range(10)) * 3, rejects=((0, "not JSON"),)),
    ]


def _empty() -> list[BadShard]:
    plain = [BadShard(name=f"empty{suffix}", data=b"") for suffix in (".jsonl", ".ndjson", ".json")]
    packed = [
        BadShard(name=f"empty.jsonl.{codec}", data=b"", breaks=((0, "is empty"),))
        for codec in (*PACK, "zstd")
    ]
    tables = [
        BadShard(name=f"empty{suffix}", data=b"", breaks=((0, "size is 0 bytes"),))
        for suffix in (".parquet", ".parq", ".pq")
    ]
    return [*plain, *packed, *tables]


def _oddly_named() -> list[BadShard]:
    return [BadShard(name=f"odd/{name}", data=rows(1), good=(0,)) for name in ODD_NAMES]
