"""Compressed shards that break off, are corrupt, or go on after their end."""

import io
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from typing_extensions import override

from labelmill.errors import InputError, StorageError
from labelmill.formats import jsonl
from labelmill.ops.decompression import Stream
from labelmill.splits import CutRule
from tests.support.jsonl import COMPRESS, read, request, rows_of, shard_of

CODECS = [suffix for suffix in COMPRESS if suffix]
# Hex digits of a generator: compressible by half only, so that a break falls in the middle.
LINES = [
    b'{"text": "%08x%08x"}\n' % (zlib.crc32(b"%d" % n), zlib.adler32(b"%d" % n))
    for n in range(40_000)
]
DATA = b"".join(LINES)
TEXTS = [line[10:26].decode() for line in LINES]


@pytest.mark.parametrize("suffix", CODECS)
def test_read_concatenated_members_are_one_stream(tmp_path: Path, suffix: str) -> None:
    cuts = [0, 5, 1000, 1000, len(DATA)]
    stored = b"".join(COMPRESS[suffix](DATA[start:stop]) for start, stop in pairwise(cuts))
    splits = read(shard_of(tmp_path, stored, "a.jsonl" + suffix))
    assert rows_of(splits).fields["text"].to_pylist() == TEXTS
    assert splits[-1].breaks == ()


@pytest.mark.parametrize("suffix", CODECS)
def test_read_truncated_stream_gives_the_rows_before(tmp_path: Path, suffix: str) -> None:
    stored = COMPRESS[suffix](DATA)
    shard = shard_of(tmp_path, stored[: len(stored) // 2], "a.jsonl" + suffix)
    splits = read(shard, request(rule=CutRule(split_rows=1000, split_bytes=1 << 20)))
    texts = rows_of(splits).fields["text"].to_pylist()
    assert texts == TEXTS[: len(texts)]
    assert len(texts) > 10_000
    (gap,) = splits[-1].breaks
    assert (gap.start, gap.stop) == (len(texts) * len(LINES[0]), None)
    assert gap.reason.endswith(": the stream ends before its end marker")
    assert [split.split.last for split in splits] == [False] * (len(splits) - 1) + [True]
    assert splits[-1].split.stop == gap.start
    assert all(split.breaks == () for split in splits[:-1])


def test_read_truncated_gzip_gives_every_line_that_zlib_can(tmp_path: Path) -> None:
    stored = COMPRESS[".gz"](DATA)[:100_000]
    given = zlib.decompressobj(31).decompress(stored)
    rows = rows_of(read(shard_of(tmp_path, stored, "a.jsonl.gz")))
    assert rows.error.null_count == len(rows) == given.count(b"\n")


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("piece", [1000, 1 << 20])
def test_stream_corrupt_in_the_middle_gives_what_the_decoder_can(suffix: str, piece: int) -> None:
    stored = bytearray(COMPRESS[suffix](DATA))
    stored[len(stored) // 2 : len(stored) // 2 + 64] = bytes(64)
    stream = Stream(io.BytesIO(stored), "a" + suffix, piece)
    found = b"".join(iter(stream.read, b""))
    assert stream.damage is not None
    assert not stream.damage.clean
    assert found == _byte_by_byte(suffix, bytes(stored))
    assert found[:100_000] == DATA[:100_000]


def _byte_by_byte(suffix: str, stored: bytes) -> bytes:
    """All that a decoder gives when nothing is asked of it that may fail later."""
    from labelmill.ops.codecs import named

    codec = named(suffix)
    assert codec is not None
    decoder, out = codec.decoder(), bytearray()
    try:
        for at in range(len(stored)):
            out += decoder.decompress(stored[at : at + 1], 1)
            while not decoder.eof and not decoder.needs_input:
                out += decoder.decompress(b"", 1)
    except codec.errors:
        pass
    return bytes(out)


@pytest.mark.parametrize("suffix", CODECS)
def test_read_garbage_after_the_end_is_a_break_there(tmp_path: Path, suffix: str) -> None:
    data = DATA.removesuffix(b"\n")
    splits = read(shard_of(tmp_path, COMPRESS[suffix](data) + b"garbage", "a.jsonl" + suffix))
    assert rows_of(splits).fields["text"].to_pylist() == TEXTS
    (gap,) = splits[-1].breaks
    assert gap.start == len(data)
    assert gap.reason.endswith(": garbage after the end of the stream")


@pytest.mark.parametrize("suffix", CODECS)
def test_read_next_member_cut_in_its_head_keeps_the_rows_before(
    tmp_path: Path, suffix: str
) -> None:
    member = COMPRESS[suffix](DATA.removesuffix(b"\n"))
    splits = read(shard_of(tmp_path, member + member[:8], "a.jsonl" + suffix))
    assert rows_of(splits).fields["text"].to_pylist() == TEXTS
    assert splits[-1].breaks[0].reason.endswith(": the stream ends before its end marker")


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_read_zeros_after_a_member_are_legal(tmp_path: Path, suffix: str) -> None:
    stored = COMPRESS[suffix](DATA) + bytes(100_000) + COMPRESS[suffix](DATA) + bytes(512)
    splits = read(shard_of(tmp_path, stored, "a.jsonl" + suffix))
    assert rows_of(splits).fields["text"].to_pylist() == TEXTS * 2
    assert splits[-1].breaks == ()


def test_read_wrong_checksum_keeps_all_rows_and_says_so(tmp_path: Path) -> None:
    stored = bytearray(COMPRESS[".gz"](DATA))
    stored[-8] ^= 1
    splits = read(shard_of(tmp_path, bytes(stored), "a.jsonl.gz"))
    assert rows_of(splits).fields["text"].to_pylist() == TEXTS
    assert splits[-1].breaks[0].reason == (
        "gzip: Error -3 while decompressing data: incorrect data check"
    )


def test_read_zstd_skippable_and_long_window_frames(tmp_path: Path) -> None:
    import zstandard

    parameters = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
    frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"abcd"
    stored = skippable + frame.compress(DATA) + frame.flush() + skippable
    splits = read(shard_of(tmp_path, stored, "a.jsonl.zst"))
    assert rows_of(splits).fields["text"].to_pylist() == TEXTS
    assert splits[-1].breaks == ()


class _FailingFile(io.BytesIO):
    @override
    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= 3000:
            raise StorageError("the disk went away")
        return super().read(size)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_stream_failing_file_is_no_damage(suffix: str) -> None:
    stream = Stream(_FailingFile(COMPRESS[suffix](DATA)), "a" + suffix, 1000)
    with pytest.raises(StorageError, match="the disk went away"):
        b"".join(iter(stream.read, b""))
    assert stream.damage is None


@pytest.mark.parametrize("suffix", COMPRESS)
def test_count_agrees_with_read(tmp_path: Path, suffix: str) -> None:
    data = b"\xef\xbb\xbf\n" + DATA + b"\n \r\nnot json\n\t\n5"
    shard = shard_of(tmp_path, COMPRESS[suffix](data), "a.jsonl" + suffix)
    assert jsonl.count(shard) == len(rows_of(read(shard))) == len(LINES) + 2


@pytest.mark.parametrize(
    ("suffix", "spoil"),
    [
        (".gz", lambda data: data[:-100]),
        (".gz", lambda data: data + b"garbage"),
        (".bz2", lambda data: data[:-100]),
        (".xz", lambda data: data[:-100]),
        (".zst", lambda data: data[: len(data) // 2] + b"garbage" + data[len(data) // 2 :]),
    ],
)
def test_count_damaged_shard_is_refused(
    tmp_path: Path, suffix: str, spoil: Callable[[bytes], bytes]
) -> None:
    shard = shard_of(tmp_path, spoil(COMPRESS[suffix](DATA)), "a.jsonl" + suffix)
    with pytest.raises(InputError, match="is damaged"):
        jsonl.count(shard)


def test_part_rows_counts_lines_and_refuses_a_cut_part() -> None:
    assert jsonl.part_rows(b"") == 0
    assert jsonl.part_rows(DATA) == len(LINES)
    with pytest.raises(InputError, match="cut short"):
        jsonl.part_rows(DATA[:-5])
