"""The table of chapters against the standard library that this Python has."""

import importlib.util
import sys
import sysconfig
from pathlib import Path

from labelmill.demo import chapters

# Not of every version from 3.11 to 3.14, or not of every platform.
ELSEWHERE = frozenset(
    [
        "_opcode_metadata",
        "_pydatetime",
        "_pylong",
        "aifc",
        "annotationlib",
        "asynchat",
        "asyncore",
        "audioop",
        "cgi",
        "cgitb",
        "chunk",
        "compression",
        "compression.bz2",
        "compression.gzip",
        "compression.lzma",
        "compression.zlib",
        "compression.zstd",
        "_compression",
        "concurrent.interpreters",
        "crypt",
        "curses",
        "curses.ascii",
        "curses.has_key",
        "curses.panel",
        "curses.textpad",
        "dbm.gnu",
        "dbm.ndbm",
        "dbm.sqlite3",
        "distutils",
        "distutils.command",
        "fcntl",
        "grp",
        "imghdr",
        "imp",
        "lib2to3",
        "mailcap",
        "msilib",
        "msvcrt",
        "nis",
        "nntplib",
        "nt",
        "nturl2path",
        "ossaudiodev",
        "pathlib.types",
        "pipes",
        "posix",
        "profiling",
        "pty",
        "pwd",
        "re._casefix",
        "readline",
        "resource",
        "smtpd",
        "sndhdr",
        "spwd",
        "sre_compile",
        "sre_constants",
        "sre_parse",
        "string.templatelib",
        "sunau",
        "syslog",
        "telnetlib",
        "termios",
        "test",
        "test.support",
        "tkinter.tix",
        "uu",
        "winreg",
        "winsound",
        "xdrlib",
    ]
)
# A joke, a poem, and an application; no chapter describes them.
WITHOUT_CHAPTER = {"antigravity", "this", "idlelib"}


def test_table_names_only_modules_that_exist():
    missing = {name for name in chapters.table() if not _exists(name)}
    assert missing <= ELSEWHERE


def test_table_covers_every_public_module_of_this_python():
    public = {name for name in sys.stdlib_module_names if not name.startswith("_")}
    assert {name for name in public if chapters.chapter_of(name) is None} <= WITHOUT_CHAPTER


def test_chapters_are_a_dozen_classes():
    assert 10 <= len(chapters.names()) <= 14
    assert list(chapters.names()) == sorted(set(chapters.table().values()))


def test_chapter_of_submodule_is_that_of_the_nearest_entry():
    assert chapters.chapter_of("email.mime.text") == "Internet Data Handling and Markup"
    assert chapters.chapter_of("os.path") == "File and Directory Access"
    assert chapters.chapter_of("os") == "Operating System Services"


def test_chapter_of_foreign_module_is_none():
    assert chapters.chapter_of("numpy.linalg") is None


def _exists(name: str) -> bool:
    place = Path(sysconfig.get_path("stdlib"), *name.split("."))
    if place.with_suffix(".py").exists() or place.is_dir():
        return True
    # Looking a submodule up would import its package.
    return name in {"collections.abc", "os.path"} or (
        "." not in name and importlib.util.find_spec(name) is not None
    )
