"""The clients' side, row by row as recorded in pods of a real Cilium 1.19.4.

Each row is a command with the exit code, the seconds and the output that were recorded; addresses
are the lab's. The recordings include about 0.1 s of `kubectl exec`. Left out are rows about clients
outside the cluster and the bodies of an echo server.
"""

import copy
import dataclasses
import re

import pytest
import yaml
from net_support import Bench

from acns_chaos.lab.net.connections import Outcome
from acns_chaos.lab.world import Outside as Host
from acns_chaos.lab.world import World, load_world
from acns_chaos.policy import Endpoint

FRONT, QUEUE, PRODUCTS = "10.0.112.41", "10.0.154.203", "10.0.96.101"
WORLD = Endpoint.outside("198.51.100.10")
LOAD_BALANCER = "203.0.113.80"
DNS = "[{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s:k8s-app: kube-dns}}]"
PORT_53 = 'ports: [{port: "53", protocol: ANY}]'
BASE = f"""
allow-store-front-traffic:
  endpointSelector: {{matchLabels: {{app: store-front}}}}
  ingress: [{{fromEntities: [world], toPorts: [{{ports: [{{port: "8080", protocol: TCP}}]}}]}}]
  egress:
  - toEndpoints: [{{matchLabels: {{app: order-service}}}}]
    toPorts: [{{ports: [{{port: "3000", protocol: TCP}}]}}]
  - toEndpoints: [{{matchLabels: {{app: product-service}}}}]
    toPorts: [{{ports: [{{port: "3002", protocol: TCP}}]}}]
  - toEndpoints: {DNS}
    toPorts: [{{{PORT_53}}}]
allow-order-service-traffic:
  endpointSelector: {{matchLabels: {{app: order-service}}}}
  ingress:
  - fromEndpoints: [{{matchLabels: {{app: store-front}}}}]
    toPorts: [{{ports: [{{port: "3000", protocol: TCP}}]}}]
  egress:
  - toEndpoints: [{{matchLabels: {{app: rabbitmq}}}}]
    toPorts: [{{ports: [{{port: "5672", protocol: TCP}}]}}]
allow-product-service-traffic:
  endpointSelector: {{matchLabels: {{app: product-service}}}}
  ingress:
  - fromEndpoints: [{{matchLabels: {{app: store-front}}}}]
    toPorts: [{{ports: [{{port: "3002", protocol: TCP}}]}}]
allow-rabbitmq-traffic:
  endpointSelector: {{matchLabels: {{app: rabbitmq}}}}
  ingress:
  - fromEndpoints: [{{matchLabels: {{app: order-service}}}}]
    toPorts: [{{ports: [{{port: "5672", protocol: TCP}}]}}]
"""
NAMES = "[{matchName: graph.microsoft.com}, {matchPattern: '*.microsoft.com'}]"


def fqdn(rules: str) -> str:
    """The policy of the FQDN step, with these DNS rules."""
    return f"""
allow-order-service-fqdn:
  endpointSelector: {{matchLabels: {{app: order-service}}}}
  egress:
  - toEndpoints: {DNS}
    toPorts:
    - {PORT_53}
      {rules}
  - toFQDNs: {NAMES}
    toPorts: [{{ports: [{{port: "80", protocol: TCP}}, {{port: "443", protocol: TCP}}]}}]
"""


POLICIES = {
    "base": BASE,
    "fqdn": BASE + fqdn("rules: {dns: [{matchPattern: '*'}]}"),
    "restricted": BASE + fqdn(f"rules: {{dns: {NAMES}}}"),
    "nameError": BASE + fqdn(f"rules: {{dns: {NAMES}}}"),
    "plain DNS": BASE + fqdn("{}").replace("      {}\n", ""),
}
OUTSIDE = {
    "www.bing.com": "198.51.100.20",
    "graph.microsoft.com": "198.51.100.21",
    "login.microsoft.com": "198.51.100.22",
    "new.microsoft.com": "198.51.100.30",
    "fresh1.microsoft.com": "198.51.100.30",
}


def scene(name: str, *, curl: bool) -> World:
    """The recorded cluster's policies and hosts outside, in the lab's pets."""
    world = load_world("pets")
    objects = [copy.deepcopy(o) for o in world.objects if o["kind"] != "CiliumNetworkPolicy"]
    for policy, spec in yaml.safe_load(POLICIES[name]).items():
        metadata = {"name": policy, "namespace": "pets"}
        kind = {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy"}
        objects.append({**kind, "metadata": metadata, "spec": spec})
    for obj in objects:
        if obj["kind"] == "ConfigMap" and obj["metadata"]["name"] == "cilium-config":
            code = "nameError" if name == "nameError" else "refused"
            obj["data"]["tofqdns-dns-reject-response-code"] = code
    base = "debian-curl" if curl else "alpine"
    return dataclasses.replace(
        world,
        objects=objects,
        images=dict.fromkeys(world.images, base),
        outside={n: Host(n, (ip,), frozenset({80, 443})) for n, ip in OUTSIDE.items()},
    )


REACHED = "Timeout was reached"
SERVER = "Server:\t\t10.0.0.10\nAddress:\t10.0.0.10:53\n\n"
TIMED_OUT = ";; connection timed out; no servers could be reached\n\n"
REFUSED = "** server can't find www.bing.com: REFUSED\n\n"
NXDOMAIN = "** server can't find www.bing.com: NXDOMAIN\n\n"
# Policies, app, command, exit code, seconds as recorded, output (None: a body that differs).
ROWS = [
    ("base", "store-front", "curl -s http://product-service:3002/", 0, 0.14, None),
    ("base", "store-front", "nc -zv -w2 rabbitmq 5672", 1, 2.12,
     f"nc: rabbitmq ({QUEUE}:5672): Operation timed out\n"),
    ("base", "order-service", f"nc -zv -w2 {QUEUE} 5672", 0, 0.12,
     f"{QUEUE} ({QUEUE}:5672) open\n"),
    ("base", "order-service", "nc -zv -w2 product-service 3002", 1, 5.12,
     "nc: bad address 'product-service'\n"),
    ("base", "order-service", "wget --spider http://product-service:3002", 1, 5.12,
     "wget: bad address 'product-service:3002'\n"),
    ("base", "order-service", "wget --spider -T 2 http://product-service:3002", 1, 5.11,
     "wget: bad address 'product-service:3002'\n"),
    ("base", "order-service", "nslookup product-service", 1, 5.10, TIMED_OUT),
    ("base", "order-service", f"nc -zv -w2 {PRODUCTS} 3002", 1, 2.10,
     f"nc: {PRODUCTS} ({PRODUCTS}:3002): Operation timed out\n"),
    ("base", "order-service", f"wget --spider -T 3 http://{PRODUCTS}:3002", 1, 3.11,
     f"Connecting to {PRODUCTS}:3002 ({PRODUCTS}:3002)\nwget: download timed out\n"),
    ("base", "order-service", f"curl -sS -m 3 --connect-timeout 2 http://{PRODUCTS}:3002/", 28,
     2.11, f"curl: (28) Failed to connect to {PRODUCTS} port 3002 after 2001 ms: {REACHED}\n"),
    ("base", "order-service", "curl -sS http://product-service:3002/", 6, 20.14,
     "curl: (6) Could not resolve host: product-service\n"),
    ("base", "order-service", "wget --spider www.bing.com", 1, 5.11,
     "wget: bad address 'www.bing.com'\n"),
    ("fqdn", "order-service", "nslookup product-service", 0, 0.11,
     f"{SERVER}\nName:\tproduct-service.pets.svc.cluster.local\nAddress: {PRODUCTS}\n"),
    ("fqdn", "order-service", "nc -zv -w2 product-service 3002", 1, 2.10,
     f"nc: product-service ({PRODUCTS}:3002): Operation timed out\n"),
    ("fqdn", "order-service", "wget --spider -T 2 http://product-service:3002/", 1, 2.12,
     f"Connecting to product-service:3002 ({PRODUCTS}:3002)\nwget: download timed out\n"),
    ("fqdn", "order-service", "curl -sS -m 5 http://product-service:3002/", 28, 5.11,
     "curl: (28) Connection timed out after 5000 milliseconds\n"),
    ("fqdn", "order-service", "wget -q -O - http://graph.microsoft.com", 0, 0.10, None),
    ("fqdn", "order-service", "curl -sS http://graph.microsoft.com", 0, 0.12, None),
    ("fqdn", "order-service", "wget --spider login.microsoft.com", 0, 0.10,
     "Connecting to login.microsoft.com (198.51.100.22:80)\nremote file exists\n"),
    ("fqdn", "order-service", "wget --spider -T 3 www.bing.com", 1, 3.11,
     "Connecting to www.bing.com (198.51.100.20:80)\nwget: download timed out\n"),
    ("fqdn", "order-service", "nc -zv -w2 www.bing.com 443", 1, 2.10,
     "nc: www.bing.com (198.51.100.20:443): Operation timed out\n"),
    ("fqdn", "order-service", "curl -sS http://no-such-name.example.org", 6, 0.11,
     "curl: (6) Could not resolve host: no-such-name.example.org\n"),
    ("fqdn", "order-service", "wget --spider no-such-name.example.org", 1, 0.10,
     "wget: bad address 'no-such-name.example.org'\n"),
    ("restricted", "order-service", "wget -q -O - graph.microsoft.com", 1, 5.16,
     "wget: bad address 'graph.microsoft.com'\n"),
    ("restricted", "order-service", "nslookup www.bing.com", 1, 0.10, SERVER + REFUSED * 2),
    ("restricted", "order-service", "wget --spider -T 3 www.bing.com", 1, 5.11,
     "wget: bad address 'www.bing.com'\n"),
    ("restricted", "order-service", "curl -sS -m 10 http://www.bing.com", 6, 0.11,
     "curl: (6) Could not resolve host: www.bing.com\n"),
    ("restricted", "order-service", "nc -zv -w2 www.bing.com 443", 1, 5.10,
     "nc: bad address 'www.bing.com'\n"),
    ("restricted", "order-service", "nc -zv -w2 product-service 3002", 1, 5.12,
     "nc: bad address 'product-service'\n"),
    ("restricted", "order-service", "wget --spider product-service:3002", 1, 5.12,
     "wget: bad address 'product-service:3002'\n"),
    ("restricted", "order-service", "curl -sS http://graph.microsoft.com", 0, 0.13, None),
    ("restricted", "order-service", "wget --spider graph.microsoft.com.", 0, 0.14,
     "Connecting to graph.microsoft.com. (198.51.100.21:80)\nremote file exists\n"),
    ("restricted", "order-service", "curl -sS http://product-service", 6, 0.14,
     "curl: (6) Could not resolve host: product-service\n"),
    ("nameError", "order-service", "wget --spider graph.microsoft.com", 0, 0.12,
     "Connecting to graph.microsoft.com (198.51.100.21:80)\nremote file exists\n"),
    ("nameError", "order-service", "wget --spider www.bing.com", 1, 0.13,
     "wget: bad address 'www.bing.com'\n"),
    ("nameError", "order-service", "nslookup www.bing.com", 1, 0.11, SERVER + NXDOMAIN * 2),
    ("nameError", "order-service", "nc -zv -w2 product-service 3002", 1, 0.11,
     "nc: bad address 'product-service'\n"),
    ("nameError", "order-service", "curl -sS http://www.bing.com", 6, 0.15,
     "curl: (6) Could not resolve host: www.bing.com\n"),
    ("plain DNS", "order-service", "wget --spider -T 3 new.microsoft.com", 1, 3.12,
     "Connecting to new.microsoft.com (198.51.100.30:80)\nwget: download timed out\n"),
    ("fqdn", "order-service", "nc -zv -w2 198.51.100.30 80", 1, 2.11,
     "nc: 198.51.100.30 (198.51.100.30:80): Operation timed out\n"),
    ("fqdn", "order-service", "wget --spider fresh1.microsoft.com", 0, 0.11,
     "Connecting to fresh1.microsoft.com (198.51.100.30:80)\nremote file exists\n"),
    ("base", "rabbitmq", "nc -zv -w2 store-front 80", 1, 2.11,
     f"nc: store-front ({FRONT}:80): Operation timed out\n"),
    ("base", "rabbitmq", "nc -zv -w2 product-service 3002", 1, 2.12,
     f"nc: product-service ({PRODUCTS}:3002): Operation timed out\n"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[f"{r[0]}: {r[1]} {r[2]}" for r in ROWS])
async def test_a_client_sees_what_was_recorded(row):
    """Exit code and text are equal, the time within what `kubectl exec` adds."""
    policies, app, command, code, seconds, output = row
    bench = Bench(scene(policies, curl=command.startswith("curl")))
    ran = await bench.sh(app, command)
    assert ran.code == code
    assert -0.05 <= seconds - ran.seconds <= 0.25
    if output is not None:
        # A real clock measures a millisecond more than it was told to wait.
        assert re.sub(r"000 (ms|milli)", r"001 \1", ran.out + ran.err) == re.sub(
            r"000 (ms|milli)", r"001 \1", output
        )


async def test_an_address_is_open_after_its_name_was_looked_up():
    """Dropped before, open by name, and then open by address."""
    bench = Bench(scene("fqdn", curl=False))
    by_address = "nc -zv -w2 198.51.100.30 80"
    assert (await bench.sh("order-service", by_address)).code == 1
    assert (await bench.sh("order-service", "wget --spider new.microsoft.com")).code == 0
    ran = await bench.sh("order-service", by_address)
    assert (ran.code, ran.err) == (0, "198.51.100.30 (198.51.100.30:80) open\n")


DENY_WORLD = [{"fromEntities": ["world"]}]
WORLD_8080 = [{"fromEntities": ["world"], "toPorts": [{"ports": [{"port": "8080"}]}]}]
VARIANTS = [
    ("empty rule", {"ingress": [{}]}, False, False),
    ("empty list", {"ingress": []}, True, True),
    ("deny of the world", {"ingress": None, "ingressDeny": DENY_WORLD}, False, False),
    ("allow and deny", {"ingressDeny": DENY_WORLD}, False, False),
    ("allow, empty deny rule", {"ingressDeny": [{}]}, True, False),
    ("only an empty deny rule", {"ingress": None, "ingressDeny": [{}]}, False, False),
    ("allow, empty deny list", {"ingressDeny": []}, True, False),
    ("deny of all", {"ingressDeny": [{"fromEntities": ["all"]}]}, False, False),
    ("deny of all pods", {"ingressDeny": [{"fromEndpoints": [{}]}]}, True, False),
    ("nobody's endpoints", {"ingress": [{"fromEndpoints": []}]}, False, False),
    ("the namespace's endpoints", {"ingress": [{"fromEndpoints": [{}]}]}, False, True),
    ("no entities", {"ingress": [{"fromEntities": []}]}, False, False),
    ("deny of the service's port",
     {"ingressDeny": [{**DENY_WORLD[0], "toPorts": [{"ports": [{"port": "80"}]}]}]}, True, False),
    ("deny of a network", {"ingressDeny": [{"fromCIDR": ["198.51.100.0/24"]}]}, False, False),
    ("deny without default deny",
     {"ingress": None, "ingressDeny": DENY_WORLD, "enableDefaultDeny": {"ingress": False}},
     False, True),
]  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS, ids=[v[0] for v in VARIANTS])
async def test_a_variant_lets_in_whom_it_was_recorded_to(variant):
    """The outside through the load balancer, and another pod through the service."""
    _, spec, world, pod = variant
    bench = Bench(scene("base", curl=False))
    await bench.apply("allow-store-front-traffic", **{"ingress": WORLD_8080, **spec})
    connect = bench.net.connections.connect
    outcome, _ = await bench.clock.run(connect(WORLD, LOAD_BALANCER, 80, timeout=2))
    assert (outcome is Outcome.OPEN) is world
    ran = await bench.sh("rabbitmq", f"nc -zv -w2 {FRONT} 80")
    assert (ran.code == 0) is pod
    if not pod:
        assert ran.err == f"nc: {FRONT} ({FRONT}:80): Operation timed out\n"
