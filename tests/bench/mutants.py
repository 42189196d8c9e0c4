"""The budget of mutants: at least 1,000 of a 20-policy app classed within 10 s."""

import json
import resource
import time
from collections import Counter
from typing import Any

from acns_chaos.policy import Endpoint
from acns_chaos.policy.mutants import CLASSES, mutants
from acns_chaos.policy.world import World

POLICIES = 20
BUDGET_MUTANTS, BUDGET_SECONDS = 1_000, 10.0


def app(policies: int = POLICIES) -> World:
    """An app of services that call the next two, ask DNS, and talk to names and addresses outside.

    Args:
        policies: how many, one for each workload.

    Returns:
        The world: policies, two pods of each workload, cluster DNS and Hubble relay, services.
    """
    names = [f"svc-{number:02}" for number in range(policies)]
    ports = {name: 8000 + number for number, name in enumerate(names)}
    pods = [
        Endpoint.pod(
            "app",
            {"app": name, "tier": ("front", "middle", "back")[number % 3]},
            name=f"{name}-{replica}",
            named_ports={f"p-{name}": (ports[name], "TCP")},
        )
        for number, name in enumerate(names)
        for replica in range(2)
    ]
    pods += [
        Endpoint.pod(
            "kube-system",
            {"k8s-app": "kube-dns"},
            name=f"coredns-{replica}",
            ports=[(53, "UDP"), (53, "TCP")],
        )
        for replica in range(2)
    ]
    relay = Endpoint.pod("kube-system", {"k8s-app": "hubble-relay"}, ports=[(4245, "TCP")])
    documents = [_policy(number, names, ports) for number in range(policies)]
    services = [_service(name, ports[name]) for name in names]
    return World(tuple(documents), (*pods, relay), services=tuple(services))


def _policy(number: int, names: list[str], ports: dict[str, int]) -> dict[str, Any]:
    name = names[number]
    called = [names[(number + step) % len(names)] for step in (1, 2)]
    caller = names[number - 1]
    ingress: list[dict[str, Any]] = [
        {
            "fromEndpoints": [{"matchLabels": {"app": caller}}],
            "toPorts": [{"ports": [{"port": str(ports[name]), "protocol": "TCP"}]}],
        }
    ]
    if number % 4 == 0:
        ingress.append(
            {
                "fromEntities": ["world"],
                "toPorts": [{"ports": [{"port": f"p-{name}", "protocol": "TCP"}]}],
            }
        )
    egress: list[dict[str, Any]] = [
        {
            "toEndpoints": [{"matchLabels": {"app": other}}],
            "toPorts": [{"ports": [{"port": str(ports[other]), "protocol": "TCP"}]}],
        }
        for other in called
    ]
    wanted = {
        "k8s:io.kubernetes.pod.namespace": "kube-system",
        "k8s:k8s-app": "kube-dns",
    }
    egress.append(
        {
            "toEndpoints": [{"matchLabels": wanted}],
            "toPorts": [
                {
                    "ports": [{"port": "53", "protocol": "ANY"}],
                    "rules": {
                        "dns": [
                            {"matchPattern": f"*.{name}.example.net"},
                            {"matchPattern": "*.app.svc.cluster.local"},
                        ]
                    },
                }
            ],
        }
    )
    if number % 2:
        egress.append(
            {
                "toFQDNs": [{"matchPattern": f"*.{name}.example.net"}],
                "toPorts": [{"ports": [{"port": "443", "protocol": "TCP"}]}],
            }
        )
    else:
        egress.append(
            {
                "toCIDRSet": [
                    {"cidr": f"198.51.{number}.0/24", "except": [f"198.51.{number}.64/28"]}
                ],
                "toPorts": [{"ports": [{"port": "5432", "protocol": "TCP"}]}],
            }
        )
    spec: dict[str, Any] = {
        "endpointSelector": {"matchLabels": {"app": name}},
        "ingress": ingress,
        "egress": egress,
    }
    if number % 5 == 0:
        spec["ingressDeny"] = [{"fromCIDR": ["192.0.2.0/24"]}]
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": f"allow-{name}", "namespace": "app"},
        "spec": spec,
    }


def _service(name: str, port: int) -> dict[str, Any]:
    return {
        "kind": "Service",
        "metadata": {"name": name, "namespace": "app"},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": port}]},
    }


def figure() -> dict[str, Any]:
    """Make and class every mutant of the app once, as a user would, and say how long it took."""
    world = app()
    began = time.perf_counter()
    found = mutants(world)
    took = time.perf_counter() - began
    classes = Counter(mutant.effect for mutant in found)
    return {
        "what": f"mutants of a {POLICIES}-policy app made and classed",
        "mutants": len(found),
        "seconds": round(took, 2),
        "per_second": round(len(found) / took),
        "classes": {name: classes[name] for name in CLASSES},
        "flows_turned": sum(mutant.radius.size for mutant in found),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "budget": f"{BUDGET_MUTANTS} in {BUDGET_SECONDS:g} s",
        "met": len(found) >= BUDGET_MUTANTS and took <= BUDGET_SECONDS,
    }


if __name__ == "__main__":
    print(json.dumps(figure()))
