"""Why nothing matched: the rule that came nearest to allowing a flow.

Belongs here: choosing that rule and wording what did not match. Does not belong here: the
verdict itself.
"""

from collections.abc import Iterable

from acns_chaos.policy.compile import Rule
from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.ports import NamedPorts


def nearest_sentence(
    rules: Iterable[Rule], peer: Endpoint, port: int, protocol: str, named: NamedPorts
) -> str:
    """One sentence about the allow rule that misses a denied flow by least, or "".

    Args:
        rules: the rules that select the subject in this direction.
        peer: the other side.
        port: destination port, or ICMP type.
        protocol: of the flow.
        named: the meaning of named ports.
    """
    rules = list(rules)
    allows = [rule for rule in rules if not rule.deny]
    if not allows:
        return f"{rules[0].ref} only denies, and no rule allows anything." if rules else ""
    wanted = flow_ports(port, protocol)
    for rule in allows:
        if rule.peers.matches(peer):
            return f"{rule.ref} allows {peer.name}, but on {rule.ports.text} and not {wanted}."
    way = "from" if allows[0].direction == "ingress" else "to"
    about = [rule for rule in allows if rule.peers.members]
    for rule in about:
        if rule.ports.all or rule.ports.matching(port, protocol, named):
            on = "" if rule.ports.all else f" on {wanted}"
            return (
                f"{rule.ref} allows traffic {way} {rule.peers.text}{on}, but not {way} {peer.name}."
            )
    for rule in about:
        return (
            f"{rule.ref} allows traffic {way} {rule.peers.text} on {rule.ports.text}, "
            f"but not {way} {peer.name} on {wanted}."
        )
    return f"{allows[0].ref} allows nobody: {allows[0].peers.why_nobody}."


def flow_ports(port: int, protocol: str) -> str:
    """A flow's port for people: "8080/TCP" or "ICMP type 8"."""
    return f"{protocol} type {port}" if protocol.startswith("ICMP") else f"{port}/{protocol}"
