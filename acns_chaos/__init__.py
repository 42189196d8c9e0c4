"""Break a network policy on purpose, and prove that someone notices and that everything comes back.

A Chaos Toolkit extension. Its surface is `actions`, `probes`, `tolerances` and `controls`; this
module only tells `chaos discover` about them.
"""

from typing import Any

__all__ = ["__version__", "discover"]

__version__ = "0.1.0"

CONTROLS = ("annotations", "guard", "lab", "schedule", "timeline")


def discover(discover_system: bool = True) -> Any:
    """List every action, probe, tolerance and control for `chaos discover acns-chaos`.

    Args:
        discover_system: asked by the host; nothing here depends on the system.

    Returns:
        The host's discovery document.
    """
    # Imported here: every import of this package would otherwise pay for the host's.
    from chaoslib.discovery.discover import (
        discover_actions,
        discover_activities,
        discover_probes,
        initialize_discovery_result,
    )

    found = initialize_discovery_result("acns-chaos", __version__, "acns")
    found["activities"].extend(discover_actions("acns_chaos.actions"))
    found["activities"].extend(discover_probes("acns_chaos.probes"))
    found["activities"].extend(discover_activities("acns_chaos.tolerances", "tolerance"))
    for name in CONTROLS:
        module = f"acns_chaos.controls.{name}"
        found["activities"].extend(discover_activities(module, "control"))
    return found
