"""Every error that labelmill raises on purpose, as one tree.

    LabelmillError
        ConfigError             the job file or the command line is wrong; the user edits it
        InputError              the source is not what the job says; the user fixes one of them
            RowRefused          a bad row, and the job says on_bad_row: fail
            ShardRefused        a damaged shard, and the job says on_bad_shard: fail
        ModelError              the checkpoint cannot be used; the user picks or mends another
        EngineError             a model runtime failed on this device
            OutOfMemory         the microbatch was too large; the stage halves it and goes on
        ClusterError            Ray did not start on this machine
        StorageError            a disk or network failed after retries; running again may help
        LedgerError             the output directory holds something we must not touch
            FingerprintChanged  the run there was started with other settings
            CorruptRun          a part or a receipt there is not what was recorded
        UnfinishedRun           stopped before the end; running the same command again goes on

A message says what is wrong, where, what was found, what was expected, and what to do, in one or
two ASCII sentences with values in `repr`. `exit_code` is the status that the command ends with.
"""

from typing_extensions import override

from labelmill.masking import masked


class LabelmillError(Exception):
    """Base of the tree; `exit_code` is the process status the command ends with."""

    exit_code = 1

    @override
    def __str__(self) -> str:
        """The message, without the secrets of a URL in it: it ends in logs and pages."""
        return masked(super().__str__())


class ConfigError(LabelmillError):
    """The job file or the command line is wrong."""

    exit_code = 2


class InputError(LabelmillError):
    """The source is not what the job says: no shards, a changed shard, a conflict of schemas."""

    exit_code = 2


class RowRefused(InputError):  # noqa: N818 - reads as the sentence it is
    """A bad row was met and the job says to stop there."""

    exit_code = 1


class ShardRefused(InputError):  # noqa: N818 - reads as the sentence it is
    """A damaged shard was met and the job says to stop there."""

    exit_code = 1


class ModelError(LabelmillError):
    """The checkpoint cannot be found, is unsafe to load, or does not fit the task."""

    exit_code = 2


class EngineError(LabelmillError):
    """A model runtime failed on this device."""


class OutOfMemory(EngineError):  # noqa: N818 - named after the condition, as in every runtime
    """The device had no room for a microbatch."""


class ClusterError(LabelmillError):
    """Ray cannot be started on this machine, or not in time."""


class StorageError(LabelmillError):
    """A file could not be read or written for a reason that lies in the disk or the network."""


class LedgerError(LabelmillError):
    """The output directory holds something that this job must not touch."""

    exit_code = 2


class FingerprintChanged(LedgerError):  # noqa: N818 - reads as the sentence it is
    """The run in the output directory was started with settings that give other results."""


class CorruptRun(LedgerError):  # noqa: N818 - reads as the sentence it is
    """A part or a receipt is not what was recorded."""

    exit_code = 1


class UnfinishedRun(LabelmillError):  # noqa: N818 - reads as the sentence it is
    """The run stopped before its end and can be resumed."""

    exit_code = 3
