"""A bound on the size of a network while it is built from settings of an untrusted source."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

SPARE = 2**26  # values that initialization and computed buffers may need beside the weights
MAX_CALLS = 50_000  # tensor operations; the largest recipe of the package needs a few thousand


class _SizeLimit(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count the values that operations ask for, before they are allocated."""

    def __init__(self, values: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.values, self.calls = values, MAX_CALLS

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls -= 1
        if args and isinstance(args[0], (list, tuple)) and all(isinstance(size, int) for size in args[0]):
            self.values -= math.prod(args[0])  # empty, zeros, full, rand
        if self.values < 0 or self.calls < 0:
            raise ValueError("the recipe describes a larger network than the weights")
        return func(*args, **(kwargs or {}))


@contextmanager
def limited_size(values: int) -> Iterator[None]:
    """Refuse to build networks in the block that need far more than `values` values.

    Raises:
        ValueError: an operation would allocate more than twice `values` in all, besides a fixed reserve.
    """
    with _SizeLimit(2 * values + SPARE):
        yield
