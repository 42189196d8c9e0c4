"""Flows that can be asked from here, by names alone.

A workload asks a Service, a workload asks an outside name that some policy names, customers ask
the Service with a load balancer. A stranger is a pod that nobody's selector means: most of whom a
lost ingress policy lets in are not there when it is lost.
"""

import re
from dataclasses import dataclass

__all__ = [
    "CLOSED",
    "CONNECT",
    "CUSTOMER",
    "HTTPS",
    "NAME",
    "OPEN",
    "STRANGER",
    "WORLD",
    "Ask",
    "host_of",
]

# Who asks, and how: a Service's address, an outside name, the shop's address from outside, a
# Service's address from a pod that an experiment makes.
CONNECT, NAME, CUSTOMER, STRANGER = "connect", "name", "customer", "stranger"
WORLD = "world"
# What is expected of an ask; "" where its pods differ, or a lookup is in the way.
OPEN, CLOSED = "OPEN", "DENIED"
HTTPS = 443
_HOST = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)+")


@dataclass(frozen=True, slots=True, order=True)
class Ask:
    """A flow that can be asked.

    Attributes:
        source: "namespace/workload"; "namespace/" of a stranger; or WORLD.
        target: "namespace/service", or an outside name.
        port: of the Service, or of whoever has the name.
        way: CONNECT, NAME, CUSTOMER or STRANGER.
    """

    source: str
    target: str
    port: int
    way: str = CONNECT

    @property
    def places(self) -> frozenset[str]:
        """The namespaces at its ends."""
        ends = (self.source, self.target)
        return frozenset(end.partition("/")[0] for end in ends if "/" in end)

    @property
    def home(self) -> str:
        """The namespace of whoever asks; of the shop, where customers do."""
        end = self.target if self.source == WORLD else self.source
        return end.partition("/")[0]

    @property
    def asker(self) -> str:
        """Who asks, for people."""
        if self.way == STRANGER:
            return f"a stranger in {self.source.rstrip('/')}"
        return "the world" if self.source == WORLD else self.source

    def __str__(self) -> str:
        source = self.asker if self.way == STRANGER else self.source
        return f"{source} -> {self.target}:{self.port}"


def host_of(name: str) -> str:
    """A DNS name as it is asked for, "" for one that no host has: a client looks up anything."""
    host = name.rstrip(".").lower()
    return host if _HOST.fullmatch(host) else ""
