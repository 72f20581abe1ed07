"""Board: where workers and the driver tell each other how far they are, and when to stop.

One board a job, in the driver's process or as an actor of a cluster; stages speak to it through
`Notices`. It holds only what may be lost: counts for the eye, the wish to stop, how often a split
was begun and a replica began to load, and which rows are lethal. It does not know what is
committed; the ledger does.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What happened to a split before a replica begins it."""

    begun: int = 0  # times it was begun and not ended, since the verdict where there is one
    lethal: Mapping[int, str] | None = None  # the verdict: row -> reason; None: not judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Lives:
    """What became of a replica before it loads its model once more."""

    loading: int  # times it died of that, since it last came through
    idle: int  # times it began to load since some split was last committed, by whomever


class Notices(Protocol):
    """What stages may ask and tell."""

    def stopping(self) -> bool:
        """True once the job has been asked to stop: begin no other split."""
        ...

    def begin(self, split: str) -> Past:
        """Note that a replica begins a split; what happened to it before."""
        ...

    def convict(self, split: str, lethal: Mapping[int, str]) -> None:
        """Keep the verdict on a split that is begun: whoever begins it again need not judge it."""
        ...

    def end(self, split: str) -> None:
        """Note that the replica has come through the split alive."""
        ...

    def post(self, split: str, rows: int, tokens: int) -> None:
        """So much of a split is predicted by now."""
        ...


class Board:
    """The board itself, in one process."""

    def __init__(self) -> None:
        self._stopping = False
        self._loading: Counter[str] = Counter()
        self._idle: Counter[str] = Counter()
        self._begun: Counter[str] = Counter()
        self._verdicts: dict[str, Mapping[int, str]] = {}
        self._posts: dict[str, tuple[int, int]] = {}

    def stop(self) -> None:
        """Ask every stage to begin no other split."""
        self._stopping = True

    def stopping(self) -> bool:
        """See Notices."""
        return self._stopping

    def load(self, replica: str) -> Lives:
        """Note that the replica begins to load its model; what became of it before."""
        lives = Lives(loading=self._loading[replica], idle=self._idle[replica])
        self._loading[replica] += 1
        self._idle[replica] += 1
        return lives

    def loaded(self, replica: str) -> None:
        """Note that the replica has come through that alive."""
        del self._loading[replica]

    def begin(self, split: str) -> Past:
        """See Notices."""
        past = Past(begun=self._begun[split], lethal=self._verdicts.get(split))
        self._begun[split] += 1
        return past

    def convict(self, split: str, lethal: Mapping[int, str]) -> None:
        """See Notices."""
        self._verdicts[split] = lethal
        self._begun[split] = 1

    def end(self, split: str) -> None:
        """See Notices."""
        self._begun.pop(split, None)

    def post(self, split: str, rows: int, tokens: int) -> None:
        """See Notices."""
        self._posts[split] = (rows, tokens)

    def forget(self, splits: Sequence[str]) -> None:
        """The splits are committed: what was posted of them no longer counts."""
        for split in splits:
            self._posts.pop(split, None)
        if splits:
            self._idle.clear()

    def in_flight(self) -> Mapping[str, tuple[int, int]]:
        """Rows and tokens predicted so far, by split."""
        return dict(self._posts)
