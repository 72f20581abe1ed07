"""Workers without Ray: processes that exchange gradients through gloo."""

import os
import socket
from collections.abc import Callable
from typing import Any

import torch
from torch import distributed

from tests.support import forked


def together(function: Callable[..., None], *arguments: Any, workers: int) -> None:
    """Call `function(rank, *arguments)`, which must be picklable, in so many workers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.start_processes(
        _sit,
        (function, arguments, workers, port),
        nprocs=workers,
        start_method=forked.context().get_start_method(),
    )


def _sit(
    rank: int,
    function: Callable[..., None],
    arguments: tuple[Any, ...],
    workers: int,
    port: int,
) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(workers),
        "LOCAL_WORLD_SIZE": str(workers),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", rank=rank, world_size=workers)
    try:
        function(rank, *arguments)
    finally:
        distributed.destroy_process_group()
