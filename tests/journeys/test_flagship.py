"""The flagship, as shipped, through the real `chaos`."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.journeys.conftest import Chaos, Lab

pytestmark = pytest.mark.journey


def test_the_flagship_holds_and_leaves_everything_as_it_was(chaos: Chaos, lab: Lab) -> None:
    """The shipped experiment exits 0 with HELD, and every policy is as before, as raw JSON."""
    before = lab.policies()

    done = chaos.run("experiments/storefront-ingress.json")

    assert done.code == 0, done.output
    assert done.outcome == "HELD"
    assert "in the lab: no cluster was touched" in done.section["outcome"]["sentence"]
    assert lab.policies() == before
    assert len(before) == 4


def test_the_journal_shows_what_happened(own_chaos: Chaos) -> None:
    """The fault bit (client and counter), was noticed, was explained and was restored."""
    done = own_chaos.run("experiments/storefront-ingress.json")
    assert done.journal is not None
    outputs = {run["activity"]["name"]: run["output"] for run in done.journal["run"]}

    assert outputs["customers are cut off"]["reading"] == "DENIED"
    assert outputs["drops are counted at the storefront's pods"]["count"] >= 2
    assert outputs["Prometheus notices policy drops on the nodes"]["count"] >= 3
    culprits = outputs["the policy to blame is named"]["culprits"]
    assert culprits == ["pets/allow-store-front-traffic"]
    assert outputs["the storefront's pods stay Ready all the while"]["reading"] == "READY"
    (fault,) = done.section["faults"]
    assert fault["operator"] == "ingress-from-nobody"
    assert fault["predicted"] == {"closed": ["world -> pets/store-front:8080/TCP"], "opened": []}
    assert fault["fault"]["spec"]["ingress"] == [{"fromEndpoints": []}]
    assert fault["before"]["spec"]["ingress"][0]["fromEntities"] == ["world"]
    assert fault["restored"]["by"] == "method"
    assert fault["restored"]["sha256"] == fault["before_sha256"]
    words = [event["what"] for event in done.section["events"]]
    for word in (
        "submitted",
        "accepted",
        "realised",
        "first-failed-request",
        "drop-counted",
        "noticed",
        "explained",
        "restore-submitted",
        "restored",
        "first-success",
    ):
        assert word in words, words
    assert done.journal["rollbacks"][0]["output"]["restored"] == []


def test_the_journal_names_the_target_as_the_server_states_it(own_chaos: Chaos, lab: Lab) -> None:
    """Kind, context, server, kube-system UID, namespace and Cilium version are recorded."""
    done = own_chaos.run("probes/storefront-reachable.json")
    target = done.section["target"]

    uid = lab.api.get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
    assert target == {
        "kind": "lab",
        "context": lab.ready["context"],
        "server": lab.ready["server"],
        "uid": uid,
        "namespace": "pets",
        "cilium_version": "1.19.4",
        "kubernetes_version": "v1.33.5+acns-chaos-lab",
    }


def test_without_a_running_lab_one_is_started_and_ended(lonely_chaos: Chaos) -> None:
    """A newcomer's run starts its own lab, and the lab is gone afterwards."""
    done = lonely_chaos.run("probes/storefront-reachable.json")

    assert done.code == 0, done.output
    assert done.outcome == "HELD"
    server = done.section["target"]["server"]
    port = int(server.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 2):
        pass


def test_the_rollback_alone_restores(chaos: Chaos, lab: Lab, short: dict[str, Any]) -> None:
    """With the method's own restore removed, the rollback puts everything back; it is no pass."""
    before = lab.policies()
    short["method"] = [step for step in short["method"] if step["name"] != "put the policy back"]

    done = chaos.run(short)

    assert lab.policies() == before
    assert done.section["faults"][0]["restored"]["by"] == "rollback"
    assert done.outcome == "DEVIATED"
    assert done.code == 1


def test_a_claim_that_is_false_exits_1(own_chaos: Chaos, lab: Lab) -> None:
    """With the shop cut off by somebody else, the claim says DEVIATED."""
    path = "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies/allow-store-front-traffic"
    policy = lab.api.get(path)
    policy["spec"]["ingress"] = [{"fromEndpoints": []}]
    lab.api.put(path, policy)

    done = own_chaos.run("probes/storefront-reachable.json")

    assert (done.code, done.outcome) == (1, "DEVIATED"), done.output


def test_the_journal_is_plain_json_without_secrets(own_chaos: Chaos, lab: Lab) -> None:
    """No token of the target's kubeconfig stands in the journal or on the terminal."""
    config = yaml.safe_load(Path(lab.ready["kubeconfig"]).read_text())
    token = config["users"][0]["user"]["token"]
    done = own_chaos.run("probes/order-fqdn-egress.json")

    assert len(token) > 16
    assert token not in json.dumps(done.journal)
    assert token not in done.output
