"""Which files hold pictures, sounds or videos, by the ends of their names."""

IMAGES = frozenset({
    "apng", "avif", "bmp", "dib", "gif", "heic", "heif", "ico", "j2k", "jfif", "jp2", "jpe",
    "jpeg", "jpg", "jpx", "pbm", "pcx", "pgm", "png", "pnm", "ppm", "qoi", "tga", "tif", "tiff",
    "webp", "xbm", "xpm",
})  # fmt: skip
SOUNDS = frozenset({
    "aac", "aif", "aifc", "aiff", "au", "caf", "flac", "m4a", "mp2", "mp3", "oga", "ogg",
    "opus", "w64", "wav", "wave", "wma",
})  # fmt: skip
VIDEOS = frozenset({
    "avi", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "ogv", "webm", "wmv",
})  # fmt: skip


def ending(name: str) -> str:
    """What follows the last dot of a name, in lower case; all of it where there is none."""
    return name.rpartition(".")[2].lower()


def is_media(name: str) -> bool:
    """Whether a file of this name holds a picture, a sound or a video."""
    return ending(name) in IMAGES | SOUNDS | VIDEOS
