"""Which cases belong to which tier: `make unit`, `make test`, `make full`, and CI's part of full.

`make test` tries one case of everything. The other cases of a loop are marked `full`, and runs on
the other engine of Chaos Toolkit `other_host`; both are deselected until they are asked for
(`tests/conftest.py`). How many examples Hypothesis makes follows the tier, too.
"""

import os
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings

EXAMPLES = "ACNS_CHAOS_EXAMPLES"
"""By how much the numbers of examples are multiplied: `make unit` takes fewer, `make full` more."""

# Read once: no test sees the variables of the project.
_FACTOR = float(os.environ.get(EXAMPLES) or 1)


def loop(cases: Iterable[Any], keep: int = 1) -> list[Any]:
    """The cases of a loop, of which `make test` tries some and `make full` all.

    Args:
        cases: as for `pytest.mark.parametrize`: values, tuples for several arguments, or params.
        keep: how many of them, counted from the first, `make test` tries.
    """
    found = []
    for number, case in enumerate(cases):
        marks = (pytest.mark.full,) if number >= keep else ()
        if isinstance(case, type(pytest.param())):
            found.append(pytest.param(*case.values, id=case.id, marks=(*case.marks, *marks)))
        else:
            values = case if isinstance(case, tuple) else (case,)
            found.append(pytest.param(*values, marks=marks))
    return found


def examples(number: int, **more: Any) -> Any:
    """Settings of Hypothesis for a test of which `make test` tries so many examples."""
    return settings(**{"max_examples": scaled(number), "deadline": None, **more})


def scaled(number: int) -> int:
    """So many examples in `make test`, in the tier that runs."""
    return max(1, round(number * _FACTOR))
