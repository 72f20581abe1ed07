"""Totals: the numbers of a run, from its receipts alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labelmill.errors import CorruptRun
from labelmill.ledger.attempts import Attempt
from labelmill.ledger.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over every receipt that counts."""

    rows_read: int
    rows_labelled: int
    rows_rejected: int
    rows_written: int
    rows_repeated: int  # labelled with an earlier row of their split that is the same to the model
    shards: int
    shards_done: int
    shards_damaged: int
    splits: int | None  # None while shards are open whose number of splits nobody knows
    splits_done: int
    tokens: int  # of every row, of the repeated ones too
    tokens_repeated: int
    padded_tokens: int  # tokens computed, padding included
    seconds: float  # wall seconds in which at least one attempt worked
    stage_seconds: Mapping[str, float]  # summed over all workers
    attempts: int
    complete: bool  # sealed, and no shard came since

    @classmethod
    def of(cls, state: State, attempts: Iterable[Attempt], *, complete: bool) -> "Totals":
        """The sums of what a state holds."""
        attempts = tuple(attempts)
        shards = [shard for _, shard in state.coverage.items()]
        lasts = [shard.last for shard in shards]
        known = None if None in lasts else sum(last + 1 for last in lasts if last is not None)
        return cls(
            **{name: state.tally.sums[name] for name in state.tally.sums},
            shards=len(shards),
            shards_done=sum(shard.done for shard in shards),
            shards_damaged=sum(shard.damaged for shard in shards),
            splits=known,
            splits_done=state.tally.splits,
            seconds=state.tally.seconds(attempts),
            stage_seconds=dict(state.tally.stage_seconds),
            attempts=len(attempts),
            complete=complete,
        )

    @property
    def padding_fraction(self) -> float:
        """Share of the computed tokens that were padding; 0 where nothing was computed."""
        computed = self.tokens - self.tokens_repeated
        return 1 - computed / self.padded_tokens if self.padded_tokens else 0.0

    @property
    def rows_per_second(self) -> float:
        """Over the wall seconds."""
        return self.rows_read / self.seconds if self.seconds else 0.0

    @property
    def tokens_per_second(self) -> float:
        """Over the wall seconds, padding not counted."""
        return self.tokens / self.seconds if self.seconds else 0.0

    def require_sums(self) -> None:
        """Raise CorruptRun where the rows do not add up."""
        written = self.rows_written in {self.rows_labelled, self.rows_read}
        if self.rows_read != self.rows_labelled + self.rows_rejected or not written:
            raise CorruptRun(
                f"the receipts do not add up: {self.rows_read} rows read, {self.rows_labelled} "
                f"labelled, {self.rows_rejected} rejected, {self.rows_written} written; run "
                "`labelmill verify`"
            )
