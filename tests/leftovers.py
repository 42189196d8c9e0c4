"""What tests of labs share: a module's clients are collected with it."""

import gc
import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def own_leftovers() -> Iterator[None]:
    """Collect a module's clients with it: their kept connections are no finding of the next one."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
