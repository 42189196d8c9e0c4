"""Large, many, long and strange: every original comes back byte for byte."""

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.cluster.policies import policy_ref
from tests.journeys.conftest import Chaos, Done, Lab
from tests.journeys.minimal import experiment, inject, nothing_is_left, restore
from tests.tiers import loop

pytestmark = [pytest.mark.journey, pytest.mark.slow]

MANY = 200
COLLECTION = "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies"
STRANGE = {
    "unicode": "Straße 漢字 🐾 \u2028\u0000"[:-1],
    "lines": "first\r\nsecond\rthird\n\ttabbed\\ \"quoted\" 'so' ${NOT_A_VARIABLE} {{ no }}",
    "empty": "",
    "number": "1e400",
    "yaml": "- no: [yes, ~, 0x1F, 2001-01-01]\n",
}
RULES: list[dict[str, Any]] = [
    {"fromEndpoints": []},
    {"fromEndpoints": [{}]},
    {"fromEntities": ["world"], "toPorts": [{"ports": [{"port": "8080", "protocol": "TCP"}]}]},
    {"fromEndpoints": [{"matchLabels": {"app": "none"}}], "toPorts": []},
]


def policy(name: str, **more: Any) -> dict[str, Any]:
    """A policy that allows what the storefront's does."""
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name, "namespace": "pets"},
        "spec": {
            "endpointSelector": {"matchLabels": {"app": "store-front"}},
            "ingress": deepcopy(RULES),
            **more,
        },
    }


def raw(lab: Lab, name: str) -> str:
    """What people wrote of a policy, byte by byte."""
    live = lab.api.get(policy_ref("CiliumNetworkPolicy", "pets", name).path)
    metadata = {key: live["metadata"].get(key) for key in ("labels", "annotations")}
    return json.dumps([metadata, live["spec"]], ensure_ascii=False)


def breaking(folder: Path, names: list[str]) -> dict[str, Any]:
    """A fault that makes many policies wrong: what each allowed, it denies."""
    faulty = [policy(name) for name in names]
    for one in faulty:
        one["spec"]["ingress"] = [{"fromEndpoints": []}]
    file = folder / "faulty.json"
    # Several documents of YAML, each of them JSON.
    file.write_text("\n---\n".join(json.dumps(one) for one in faulty))
    return inject(policy_file=str(file))


def comes_back(
    chaos: Chaos, lab: Lab, names: list[str], before: Mapping[str, Any], **arguments: Any
) -> Done:
    """Break the policies of these names and put them back; every byte must be as it was."""
    texts = {name: raw(lab, name) for name in names}
    done = chaos.run(experiment(breaking(chaos.folder, names), restore(**arguments)))
    assert len(done.section["faults"]) == len(names), done.output[-3000:]
    assert {one["restored"]["by"] for one in done.section["faults"]} == {"method"}
    assert {name: raw(lab, name) for name in names} == texts
    nothing_is_left(lab, before)
    return done


def only_way_in(lab: Lab) -> None:
    """Remove the storefront's own policy, so that what the others allow counts."""
    lab.api.delete(f"{COLLECTION}/allow-store-front-traffic")


def test_an_object_of_900_kilobytes(own_chaos: Chaos, lab: Lab) -> None:
    """Larger than a ConfigMap: its record takes two."""
    only_way_in(lab)
    large = policy("large", description="漢" * 300_000)
    large["metadata"]["labels"] = {"size": "large"}
    lab.api.post(COLLECTION, large)
    assert len(raw(lab, "large").encode()) > 900_000
    comes_back(own_chaos, lab, ["large"], lab.policies())


def test_a_name_at_the_length_limit_and_strange_texts(own_chaos: Chaos, lab: Lab) -> None:
    """253 characters, and whatever a person may write into labels, annotations and rules."""
    only_way_in(lab)
    name = "-".join(["n" * 62] * 4) + "n"
    assert len(name) == 252
    name += "n"
    odd = policy(name, description=STRANGE["unicode"] + STRANGE["lines"], egress=[])
    odd["metadata"]["labels"] = {"empty": ""}
    odd["metadata"]["annotations"] = STRANGE
    lab.api.post(COLLECTION, odd)
    comes_back(own_chaos, lab, [name], lab.policies())


@pytest.mark.parametrize("many", loop([20, MANY]))
def test_many_policies_in_one_fault(own_chaos: Chaos, lab: Lab, many: int) -> None:
    """All of them are recorded, broken, put back and read back."""
    only_way_in(lab)
    names = [f"many-{number:03d}" for number in range(many)]
    for name in names:
        lab.api.post(COLLECTION, policy(name))
    done = comes_back(own_chaos, lab, names, lab.policies())
    assert done.seconds < 120
