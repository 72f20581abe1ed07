"""Transfer: arrays to a CUDA device and outputs back, while the device computes something else.

Inputs go through pinned memory on a stream of their own. Outputs are on their way when `to_host`
returns; who looks at one waits for it. Nothing here waits for the device otherwise.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from typing_extensions import override

from labelmill.batch import Array, Ragged
from labelmill.engines.pytorch.reading import Pieces, Read
from labelmill.errors import EngineError


class Transfer:
    """Copies to and from one CUDA device."""

    def __init__(self) -> None:
        self._copies = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def to_device(self, array: Array) -> torch.Tensor:
        """The array on the device; what is computed from now on waits for it there."""
        given = torch.from_numpy(array)
        pinned = torch.empty(given.shape, dtype=given.dtype, pin_memory=True)
        pinned.copy_(given)
        now = torch.cuda.current_stream()
        with torch.cuda.stream(self._copies):
            moved = pinned.to("cuda", non_blocking=True)
        now.wait_stream(self._copies)
        moved.record_stream(now)  # else its memory is reused while it is still read
        return moved

    def to_host(self, read: Read) -> "Coming":
        """The outputs, on their way."""
        return Coming({name: _pinned(values) for name, values in read.items()})


class Coming(Mapping[str, Array | Ragged]):
    """Outputs on their way to the host; every number that is no integer in float32.

    Looking at one raises EngineError where the device failed on them.
    """

    def __init__(self, outputs: Mapping[str, Any]) -> None:
        self._outputs = outputs
        self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._arrived.record()
        self._here: Mapping[str, Array | Ragged] | None = None

    @override
    def __getitem__(self, name: str) -> Array | Ragged:
        return self.wait()[name]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    @override
    def __len__(self) -> int:
        return len(self._outputs)

    def wait(self) -> Mapping[str, Array | Ragged]:
        """The outputs, as plain arrays, once they are here."""
        if self._here is None:
            try:
                self._arrived.synchronize()
            except RuntimeError as error:
                raise EngineError(f"'cuda' failed on a microbatch: {error}") from error
            # A copy: pinned memory is scarce, and the next microbatch wants it back.
            self._here = {name: _copied(values) for name, values in self._outputs.items()}
            self._outputs = dict.fromkeys(self._outputs)
        return self._here


def _pinned(values: torch.Tensor | Pieces) -> Any:
    if isinstance(values, Pieces):
        return Pieces(_pinned(values.values), _pinned(values.lengths))
    values = values.float() if values.is_floating_point() else values
    if not values.is_cuda:
        return values
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    return host.copy_(values, non_blocking=True)


def _copied(values: torch.Tensor | Pieces) -> Array | Ragged:
    if isinstance(values, Pieces):
        return Ragged(values=values.values.numpy().copy(), lengths=values.lengths.numpy().copy())
    copied: Array = values.numpy().copy()
    return copied
