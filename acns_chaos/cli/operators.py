"""`acns-chaos operators`: the ways to make a policy wrong that `inject_fault` knows by name."""

import click

from acns_chaos.cli import show
from acns_chaos.policy.operators import OPERATORS

__all__ = ["operators"]


@click.command()
def operators() -> None:
    """List the mutation operators, family by family, and the mistake each imitates.

    `acns-chaos mutants` lists where they apply in real policies, and what each would do there.
    """
    width = max(len(name) for name in OPERATORS)
    families = max(len(operator.family) for operator in OPERATORS.values())
    for name, operator in OPERATORS.items():
        show(f"{operator.family:<{families}}  {name:<{width}}  {operator.summary}")
