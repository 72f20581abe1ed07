"""Forgetting: Ray Data keeps statistics of each block that each operator has put out.

That is a kilobyte a block and operator, held by the driver until the dataset ends: four gigabytes
for a run of a million splits. Nobody reads them here; receipts tell more. Ray 2.60 has no setting
for it, so this reaches into its operators; a test says when Ray has changed.
"""

from typing import TYPE_CHECKING

from ray.data._internal.execution.execution_callback import ExecutionCallback
from typing_extensions import override

if TYPE_CHECKING:
    from ray.data._internal.execution.streaming_executor import StreamingExecutor


class Forgetting(ExecutionCallback):
    """Keeps the newest alone, of each operator, after each step of Ray's loop."""

    @override
    def on_execution_step(self, executor: "StreamingExecutor") -> None:
        """See the class."""
        for operator in getattr(executor, "_topology", None) or ():
            kept = getattr(operator, "_output_blocks_stats", None)
            if kept:
                del kept[:-1]
