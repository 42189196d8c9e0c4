"""A control for tests: writes into the journal which modules the run had loaded."""

import sys
from typing import Any


def after_experiment_control(context: Any, state: Any = None) -> None:
    """Note every loaded module."""
    state["modules"] = sorted(sys.modules)
