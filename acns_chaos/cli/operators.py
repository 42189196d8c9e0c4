"""`acns-chaos operators`: the ways to make a policy wrong that `inject_fault` knows by name."""

import click

from acns_chaos.cli import show
from acns_chaos.policy.operators import OPERATORS

__all__ = ["operators"]


@click.command()
def operators() -> None:
    """List the mutation operators and what each does to a policy."""
    width = max(len(name) for name in OPERATORS)
    for name, operator in sorted(OPERATORS.items()):
        show(f"{name:<{width}}  {operator.summary}")
