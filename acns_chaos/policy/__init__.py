"""Cilium's policy semantics as a library: raw policy objects and endpoints in, verdicts out.

Belongs here: everything that follows from policy documents alone. Does not belong here: any
input or output, a clock, a client, a host. Objects are raw JSON throughout, because an empty
list and an absent field mean opposite things.

The public surface is `__all__`; what else is in this package may change. Begin with a world:

- `World.of(objects)`: everything that verdicts depend on, from Kubernetes objects
- `verdict(world, source, destination, port)`: what becomes of a flow, and why -> `Verdict`
- `explain(world, source, destination, port)`: the walk through both sides -> `Explanation`
- `diff(before, after)`: the flows that turn between two worlds -> `Difference`
- `mutants(world)`: the realistic mistakes that could be made, classed -> list of `Mutant`
- `findings(policy)`: what is wrong with an object, or not what it looks like -> list of `Finding`

Sources and destinations are text ("pets/store-front", "world", "10.0.0.1", "www.bing.com") or an
`Endpoint`. Ports are numbers, those of the pod: after service translation. Whatever cannot be used
raises `acns_chaos.errors.PolicyError` with one sentence. Docs: docs/policy.md.

Source of the facts: Cilium 1.19, its source and its own engine, see tests/data/vectors.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

# At run time these come from `_LATER`.
if TYPE_CHECKING:
    from acns_chaos.policy.difference import Difference, diff  # noqa: TC004
    from acns_chaos.policy.endpoints import Endpoint  # noqa: TC004
    from acns_chaos.policy.explaining import explain  # noqa: TC004
    from acns_chaos.policy.explanation import Explanation  # noqa: TC004
    from acns_chaos.policy.model import (  # noqa: TC004
        Flow,
        ObjectRef,
        RuleRef,
        Settings,
        Side,
        Verdict,
    )
    from acns_chaos.policy.mutants import Mutant, mutants  # noqa: TC004
    from acns_chaos.policy.services import Service  # noqa: TC004
    from acns_chaos.policy.validity import Finding, findings  # noqa: TC004
    from acns_chaos.policy.verdict import Engine  # noqa: TC004
    from acns_chaos.policy.world import World, verdict  # noqa: TC004

__all__ = [
    "Difference",
    "Endpoint",
    "Engine",
    "Explanation",
    "Finding",
    "Flow",
    "Mutant",
    "ObjectRef",
    "RuleRef",
    "Service",
    "Settings",
    "Side",
    "Verdict",
    "World",
    "diff",
    "explain",
    "findings",
    "mutants",
    "verdict",
]

# Imported when first asked for: start-up is a budget, and most who judge a flow need no mutants.
_LATER = {
    "Difference": "difference",
    "Endpoint": "endpoints",
    "Engine": "verdict",
    "Explanation": "explanation",
    "Finding": "validity",
    "Flow": "model",
    "Mutant": "mutants",
    "ObjectRef": "model",
    "RuleRef": "model",
    "Service": "services",
    "Settings": "model",
    "Side": "model",
    "Verdict": "model",
    "World": "world",
    "diff": "difference",
    "explain": "explaining",
    "findings": "validity",
    "mutants": "mutants",
    "verdict": "world",
}


class _Surface(ModuleType):
    """This package: its functions come before its modules of the same name.

    Importing a module binds it in its package, so `acns_chaos.policy.mutants`, the module, would
    hide `mutants`, the function. `from acns_chaos.policy.mutants import ...` is not concerned.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _LATER or not isinstance(value, ModuleType):
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
        setattr(self, name, found)
        return found

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


if not TYPE_CHECKING:
    sys.modules[__name__].__class__ = _Surface
