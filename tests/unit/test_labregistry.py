"""The product and the lab share no code, and must find the same registered lab."""

from collections.abc import Mapping

import pytest

from acns_chaos.cluster import labregistry
from acns_chaos.lab import registration


@pytest.mark.parametrize(
    "environ",
    [
        {"ACNS_CHAOS_LAB_HOME": "/a", "XDG_RUNTIME_DIR": "/b", "HOME": "/c"},
        {"XDG_RUNTIME_DIR": "/b", "HOME": "/c"},
        {"HOME": "/c"},
        {},
    ],
)
def test_both_sides_look_in_the_same_place(environ: Mapping[str, str]) -> None:
    """Whatever the environment names, the lab registers where the product looks."""
    assert labregistry.lab_home(environ) == registration.lab_home(environ)


def test_both_sides_name_the_lock_alike() -> None:
    """A lab is alive for the product exactly as long as it holds its lock."""
    assert registration._LOCK == labregistry.LOCK
