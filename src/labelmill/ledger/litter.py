"""Litter: files of the ledger that nobody needs any more, deleted where the store lets us.

A receipt in two places counts once, and a prepared receipt of a split that has its receipt says
nothing: a run reads the same with all of them. So a store that denies deletion, as a bucket that is
only appended to, makes a run slower to open, never wrong and never unfinished.
"""

from collections.abc import Collection

from labelmill.errors import StorageError
from labelmill.storage import Store, bulk, join


class Litter:
    """What one attempt deletes of a run."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.refusal: StorageError | None = None  # the first failure; nothing is tried after it

    def remove(self, paths: Collection[str]) -> None:
        """Delete them; what stays is found by whoever opens the run next."""
        if self.refusal is not None:
            return
        try:
            bulk.delete_all(self._store, paths)
        except StorageError as error:
            self.refusal = error


def free(store: Store, path: str, why: str) -> None:
    """Delete what stands in the way; StorageError says what must be allowed."""
    try:
        store.delete(path)
    except StorageError as error:
        raise StorageError(
            f"{join(store.url, path)!r} must be deleted, as {why}, and cannot be ({error}); allow "
            "that (on S3: s3:DeleteObject), or delete it yourself, then run again"
        ) from error
