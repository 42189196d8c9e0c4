"""Damaged objects of every kind: a world, an explanation and a difference, or one sentence."""

import copy
import json
import random
from typing import Any

import pytest

from acns_chaos.errors import PolicyError
from acns_chaos.policy import World, diff, explain
from acns_chaos.policy.difference_text import difference_text
from acns_chaos.policy.explanation_text import explanation_text
from tests.policy.policy_cases import ON_8080, TO_API, TO_WEB, ccnp, cnp, knp
from tests.policy.test_policy_world import (
    EXTERNAL,
    HOST_POD,
    NAMESPACE,
    NODE,
    SERVICE,
    SLICE,
    owned,
    pod,
)

DEPLOYMENT = {
    "kind": "Deployment",
    "metadata": {"name": "api", "namespace": "shop"},
    "spec": {"template": {"metadata": {"labels": {"app": "api"}}, "spec": {"containers": []}}},
}
GROUP = {
    "kind": "CiliumCIDRGroup",
    "metadata": {"name": "g", "labels": {"a": "b"}},
    "spec": {"externalCIDRs": ["192.0.2.0/24"]},
}
POLICIES = [
    cnp({"endpointSelector": TO_API, "ingress": [{"fromEndpoints": [TO_WEB], "toPorts": ON_8080}]}),
    cnp(
        {
            "endpointSelector": TO_WEB,
            "egress": [
                {"toFQDNs": [{"matchPattern": "*.example.com"}]},
                {"toServices": [{"k8sService": {"serviceName": "ext", "namespace": "shop"}}]},
                {"toCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}]},
                {"toCIDRSet": [{"cidrGroupRef": "g"}]},
            ],
        },
        name="e",
    ),
    ccnp({"endpointSelector": {}, "ingressDeny": [{"fromEntities": ["world"]}]}),
    knp(
        {
            "podSelector": {},
            "ingress": [{"from": [{"namespaceSelector": {}}], "ports": [{"port": "http"}]}],
        }
    ),
]
OBJECTS: list[Any] = [
    *POLICIES,
    NAMESPACE,
    NODE,
    SERVICE,
    EXTERNAL,
    SLICE,
    HOST_POD,
    DEPLOYMENT,
    GROUP,
    pod("web-1", "10.3.0.1", app="web"),
    owned("web-2-x", "ReplicaSet", "web-2", app="web"),
]
JUNK: list[Any] = [
    *(None, True, 0, -1, 1.5, 10**30, "", "x", "a\x00b", "http", "10.0.0.0/8", "é" * 300),
    *([], {}, [None], [1], ["x"], [[]], [{}], {"a": None}, {"matchLabels": 3}, {"x": {"y": []}}),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path in a value."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, part in value.items():
            found += places(part, (*path, key))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            found += places(part, (*path, number))
    return found


def damaged(obj: Any, rng: random.Random) -> Any:
    """A copy with something else, or nothing, in a few places."""
    copied = copy.deepcopy(obj)
    for _ in range(rng.randint(1, 3)):
        paths = places(copied)
        if not paths:
            break
        *way, last = rng.choice(paths)
        parent = copied
        for key in way:
            parent = parent[key]
        if isinstance(parent, dict) and rng.random() < 0.25:
            del parent[last]
        else:
            parent[last] = copy.deepcopy(rng.choice(JUNK))
    return copied


@pytest.mark.slow
def test_damaged_objects_make_a_world_or_one_sentence() -> None:
    """Seeded; whatever can be built can be explained, compared and printed."""
    rng = random.Random(20261123)
    built, refused = 0, list[str]()
    intact = World.of(OBJECTS)
    for _ in range(2500):
        number = rng.randrange(len(OBJECTS))
        objects = [*OBJECTS[:number], damaged(OBJECTS[number], rng), *OBJECTS[number + 1 :]]
        try:
            world = World.of(objects)
            explanation = explain(world, "world", "labels:shop/app=api", 8080)
            difference = diff(intact, world)
        except PolicyError as error:
            refused.append(str(error))
            continue
        built += 1
        json.dumps([explanation.as_json(), difference.as_json()])
        assert explanation_text(explanation)
        assert difference_text(difference)
    assert len(refused) > 200
    assert [text for text in refused if len(text.splitlines()) != 1] == []
    assert built > 500
