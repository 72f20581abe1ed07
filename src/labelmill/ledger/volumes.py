"""Volumes: many segments in one file, so that resuming a run of a million splits reads hundreds.

A volume is the bytes of its segments one after another, before each a line that names it: the
rejects of its receipts bear that name. Binding writes the volume, then deletes the segments. Killed
in between, or done by two drivers at once, a receipt stands in two places and counts once. Nothing
is left out in binding, void receipts neither. A volume is never changed nor deleted.
"""

from collections.abc import Iterator, Sequence

from labelmill.ledger import lines, names
from labelmill.ledger.litter import Litter
from labelmill.ledger.receipt import Entry
from labelmill.storage import Store, bulk

_HEADING = "segment"  # the one key of the line before the entries of a segment


def bind(store: Store, name: str, segments: Sequence[str], litter: Litter) -> None:
    """Write those of the segments that are still there into one volume, then delete them."""
    bound = list(bulk.read_all(store, segments))
    if not bound:
        return
    # Files of gzip may be joined as they are.
    store.create(names.volume(name), b"".join(_heading(path) + data for path, data in bound))
    litter.remove([path for path, _ in bound])


def unbind(path: str, data: bytes) -> Iterator[tuple[str, Entry]]:
    """Each receipt of a volume or segment with the path of its segment; raises CorruptRun."""
    segment = path
    for line in lines.unpack(path, data):
        if _HEADING in line:
            segment = line[_HEADING]
        else:
            yield segment, line


def _heading(segment: str) -> bytes:
    return lines.pack([{_HEADING: segment}])
