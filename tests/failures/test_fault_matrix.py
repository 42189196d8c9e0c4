"""A seeded sample of the fault matrix; `make fault-matrix` plays all of it."""

import os

import pytest

from tests.failures import fault_matrix

pytestmark = pytest.mark.slow

SEED = os.environ.get("ACNS_CHAOS_SEED", "5")


@pytest.mark.parametrize("kind", ["held", "modify"])
def test_a_sample_of_the_fault_matrix(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Answered badly at some request, a run says what really happened and leaves nothing."""
    code = fault_matrix.main(["--sample", "10", "--seed", SEED, "--kinds", kind])
    told = capfd.readouterr().out
    assert code == 0, told
    assert "10 runs" in told
