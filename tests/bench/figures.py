"""How a figure is printed: one JSON line for each, for people and for programs."""

import json
import os
import subprocess
import sys
from typing import Any


def show(
    name: str,
    value: float | None,
    unit: str,
    budget: float | None = None,
    *,
    at_least: bool = False,
    **more: Any,
) -> None:
    """Print one figure.

    Args:
        name: what was measured.
        value: the figure; None when it could not be measured, which the rest explains.
        unit: of the figure and of its budget.
        budget: None for a figure that only informs.
        at_least: the budget is a lower limit, not an upper one.
        more: what else the reader needs to judge the figure.
    """
    within = None
    if value is not None and budget is not None:
        within = value >= budget if at_least else value <= budget
    line = {
        "name": name,
        "value": None if value is None else float(f"{value:.4g}"),
        "unit": unit,
        "budget": budget,
        "limit": None if budget is None else "at least" if at_least else "at most",
        "ok": within,
        **more,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def child(*arguments: str, **environment: str) -> dict[str, Any]:
    """What a fresh interpreter says on its last line.

    Args:
        arguments: of the interpreter; what it runs ends by printing a JSON object.
        environment: variables that differ from ours.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
