"""Making a document without the garbage collector: hardly any garbage is made meanwhile."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["uncollected"]


@contextmanager
def uncollected(*, ends: bool = False) -> Iterator[None]:
    """Look for no garbage meanwhile: no journal is dropped, and looking is a fifth of it all.

    Args:
        ends: the process ends soon: what is there by then need not be looked at any more.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if ends:
                gc.freeze()
            gc.enable()
