"""MP3: how long one says it is, and what to do where it does not say.

An MP3 is frames end to end, perhaps behind an ID3v2 tag. Most encoders put a first frame before the
others that holds no sound but, after "Xing" or "Info", how many there are. Without it libsndfile
takes the first frame's bit rate for all of them and stops where that guess ends, in the middle of a
sound of changing bit rates.
"""

_RATES = (44_100, 48_000, 32_000)  # Hz in MPEG 1; the halves and quarters in MPEG 2 and 2.5
_KBITS = {  # a second, by the four bits of the header, for layer III
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2, 2.5
}
_MANY = 0x7FFFFFFF  # frames
_HAS_FRAMES = 1  # flag of a Xing frame


def says_length(data: bytes) -> bool:
    """Whether its first frame tells how many follow."""
    start = _start(data)
    first = data[start : start + 64]
    return b"Xing" in first or b"Info" in first


def endless(data: bytes) -> bytes:
    """The sound behind a frame that promises more than there can be.

    Unchanged where it says its length, or does not begin with a frame of layer III.
    """
    if says_length(data):
        return data
    start = _start(data)
    head = data[start : start + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return data
    first = head[1] & 0x18 == 0x18  # MPEG 1
    kbits, rate = head[2] >> 4, head[2] >> 2 & 3
    if kbits in (0, 15) or rate == 3:
        return data
    divisor = 1 if first else 2 if head[1] & 0x10 else 4
    size = (144 if first else 72) * 1000 * _KBITS[first][kbits] // (_RATES[rate] // divisor)
    mono = head[3] & 0xC0 == 0xC0
    side = (17 if mono else 32) if first else (9 if mono else 17)
    # Without checksum (the lowest bit of the second byte) and without padding.
    frame = bytes([0xFF, head[1] | 1, head[2] & 0xFD, head[3]]) + bytes(side)
    frame += b"Xing" + _HAS_FRAMES.to_bytes(4, "big") + _MANY.to_bytes(4, "big")
    if size < len(frame):
        return data
    return frame.ljust(size, b"\0") + data[start:]


def _start(data: bytes) -> int:
    """Where the frames begin; an ID3v2 tag has ten bytes and a size of four times seven bits."""
    if not data.startswith(b"ID3"):
        return 0
    return 10 + sum(byte << 7 * place for place, byte in enumerate(data[9:5:-1]))
