"""No name and no address is left in a redacted journal, which still reads, judges and verifies."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.evidence.canonical import as_written
from acns_chaos.evidence.chain import proof
from acns_chaos.evidence.journal import judge
from acns_chaos.evidence.redaction import is_redacted, redacted
from acns_chaos.evidence.signature import examine, head, sign, verify
from acns_chaos.evidence.vocabulary import TOKEN, strings_in
from tests.tiers import examples
from tests.unit.evidence_journals import claim, held, signed

SEALED = Path(__file__).parents[1] / "data" / "sealed"
NAMES = ("pets", "store-front", "order-service", "rabbitmq", "product-service", "lab-pets")


def stored(name: str = "deny-rule.json") -> dict[str, Any]:
    """Return a stored journal."""
    found = json.loads((SEALED / name).read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def unsealed(journal: dict[str, Any]) -> dict[str, Any]:
    """Take the seal off, so that it can be made anew."""
    section = journal["acns_chaos"]
    for key in ("signature", "names", "chain"):
        section.pop(key, None)
    for event in section["events"]:
        for key in ("salt", "proof", "prev", "hash"):
            event.pop(key, None)
    return journal


def planted() -> dict[str, Any]:
    """Return a real journal with a canary, "zq…", wherever a name or an address may stand."""
    text = as_written(unsealed(stored()))
    for number, name in enumerate(NAMES):
        text = re.sub(rf"(?<![\w-]){name}(?![\w])", f"zqname{number}", text)
    journal: dict[str, Any] = json.loads(text)
    journal["node"] = "zqhost.corp.example"
    section = journal["acns_chaos"]
    section["target"].update(
        context="zq_admin@zqcluster", server="https://zqapi.hcp.zqregion.azmk8s.io:443"
    )
    fault = section["faults"][0]
    fault["restored"]["who"] = "zqperson"
    fault["restored"]["problem"] = 'File "/home/zquser/zq.py", line 3: no route to zqpeer:5672'
    document = fault["before"]
    document["metadata"]["labels"] = {"team": "zqteam", "zqdomain.example/owner": "zqowner"}
    document["metadata"]["annotations"]["zq.example.org/tracking"] = "zqapp:cilium.io/x:a/b"
    document["metadata"]["managedFields"][0]["manager"] = "zqmanager"
    document["metadata"]["ownerReferences"] = [{"name": "zqparent", "uid": "zquid"}]
    document["spec"]["egress"] += [
        {"toFQDNs": [{"matchName": "zqdb.zqcorp.net"}, {"matchPattern": "*.zqcorp.net"}]},
        {"toCIDR": ["10.98.76.54/32", "fd98:7654::/48"]},
        {"toEndpoints": [{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "zqspace"}}]},
        {"toEndpoints": [{"matchExpressions": [{"key": "a", "values": ["zqvalue"]}]}]},
    ]
    output = journal["run"][1]["output"]
    output["evidence"].update(
        pod="zqname1-5f9f9c7c8b-x2x9k",
        node="zqnode-000000",
        address="10.98.76.54",
        order={"customerId": "zqmail@zqcorp.net"},
        url="https://zquser:zqpassword@zqshop.example.com/a",
        addresses=["10.98.76.54", "[fd98:7654::1]:443", "fd98:7654::2"],
    )
    output["sentence"] = "zqname0/zqother -> zqspace/zqthird:80/TCP from zqname1-5f9f9c7c8b-x2x9k"
    arguments = journal["experiment"]["method"][1]["provider"]["arguments"]
    arguments.update(workload="zqfourth", host="zqfifth.svc", target="zqspace/zqsixth")
    journal["experiment"]["configuration"]["relay"] = "zqrelay"
    journal["experiment"]["secrets"] = {"mine": {"token": "zqsecret with spaces"}}
    journal["experiment"]["title"] = "Do we notice when zqname1 at zqhost is cut off?"
    section["events"][0]["detail"] += " of zqname0/zqseventh, zqname1-5f9f9c7c8b-x2x9k, 10.98.76.54"
    section["events"].append({**section["events"][0], "what": "prober", "detail": "zqspace/zqx"})
    section["timeline"]["policy_changes"][0]["by"] = "zqcontroller"
    return journal


LEFT = re.compile(r"zq|10\.98\.76\.54|fd98:|corp\.example|azmk8s", re.IGNORECASE)


def test_no_canary_is_left():
    """Whatever was planted in a journal is gone from the redacted one, in keys, too."""
    journal = planted()
    sign(journal)
    found = redacted(journal)

    left = [text for text in strings_in(found) if LEFT.search(text)]
    assert left == []
    assert verify(journal) == ""
    assert verify(found) == ""
    assert head(found) == head(journal) != ""


WORD = st.from_regex(r"zq[a-z0-9]{1,8}(-[a-z0-9]{1,6}){0,2}", fullmatch=True)
ADDRESS = st.ip_addresses(v=4).filter(lambda one: not one.is_unspecified)


@examples(8)
@given(names=st.lists(WORD, min_size=6, max_size=6, unique=True), address=ADDRESS)
def test_whatever_the_names_are(names, address):
    """Any names of namespaces, workloads and contexts, and any address, are replaced everywhere."""
    text = as_written(unsealed(stored()))
    for name, new in zip(NAMES, names, strict=True):
        text = re.sub(rf"(?<![\w-]){name}(?![\w])", new, text)
    journal = json.loads(text.replace("127.0.0.1", str(address)))
    sign(journal)
    found = redacted(journal)

    assert not re.search(r"zq", "\n".join(strings_in(found)))
    assert not re.search(rf"(?<![\d.]){re.escape(str(address))}(?![\d])", as_written(found))
    assert verify(journal) == verify(found) == ""
    assert head(found) == head(journal)


@pytest.mark.parametrize("name", ["claim.json", "deny-rule.json", "interrupted.json"])
def test_a_real_journal(name):
    """A redacted journal has the same head, judgement, times and structure, and no name."""
    journal = stored(name)
    found = redacted(journal)

    assert is_redacted(found)
    assert not is_redacted(journal)
    assert examine(found).redacted
    assert verify(found) == ""
    assert head(found) == head(journal) != ""
    assert judge(found).outcome is judge(journal).outcome
    assert not re.search(r"pets|store-front|127\.0\.0\.1|microsoft|root@", as_written(found))
    for key in ("start", "end", "duration", "status", "deviated"):
        assert found[key] == journal[key]
    events, before = found["acns_chaos"]["events"], journal["acns_chaos"]["events"]
    assert [one["at"] for one in events] == [one["at"] for one in before]
    assert [one["what"] for one in events] == [one["what"] for one in before]
    assert _shape(found["run"]) == _shape(journal["run"])


def _shape(value: object) -> object:
    """Return a value's keys and structure, without texts and without what users name."""
    if isinstance(value, dict):
        free = {"labels", "matchLabels", "annotations"}
        return {key: None if key in free else _shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_shape(inner) for inner in value]
    return "" if isinstance(value, str) else value


def test_redacting_again_changes_nothing():
    """A redacted journal is redacted to itself."""
    found = redacted(stored())

    assert redacted(found) == found


def test_does_not_touch_what_it_is_given():
    """The journal itself keeps its names."""
    journal = stored()
    before = copy.deepcopy(journal)
    redacted(journal)

    assert journal == before


def test_one_name_one_pseudonym():
    """The same name has the same pseudonym wherever it stands, and no other name has it."""
    table = redacted(stored())["acns_chaos"]["names"]
    names = [entry["name"] for entry in stored()["acns_chaos"]["names"].values()]

    assert len(names) == len(set(names)) == len(table)
    assert all(set(entry) == {"proof"} for entry in table.values())


def test_a_name_can_be_shown():
    """Whoever knows a name and is handed its salt can see that it is the one that was sealed."""
    own, given = stored()["acns_chaos"]["names"], redacted(stored())["acns_chaos"]["names"]

    for token, entry in own.items():
        assert proof(entry["salt"], entry["name"]) == given[token]["proof"]
        assert proof(entry["salt"], "other") != given[token]["proof"]


@pytest.mark.parametrize("key", ["names", "events", "chain", "redacted", "faults", "outcome"])
def test_a_redacted_journal_is_sealed_as_well(key):
    """What is taken from a redacted journal is found."""
    found = redacted(stored())
    found["acns_chaos"].pop(key)

    assert verify(found) != ""


def test_a_redacted_journal_that_was_edited():
    """An edited byte of a redacted journal is found; so is a name put back without its salt."""
    found = as_written(redacted(stored()))
    for old, new in (('"workload-1"', '"workload-2"'), ("namespace-1/", "namespace-2/")):
        assert old in found
        edited = found.replace(old, new, 1)
        assert examine(json.loads(edited), edited).problem != ""
    journal = json.loads(found)
    journal["acns_chaos"]["names"]["namespace-1"] = {"salt": "x", "name": "pets"}
    assert verify(journal) != ""


@pytest.mark.parametrize("word", ["pod-1", "namespace-2", "address-1", "word-1", "policy-12"])
def test_text_that_looks_like_a_pseudonym(word):
    """Such text in a journal is replaced itself, so that it is never taken for a name's."""
    journal = held()
    journal["experiment"]["title"] = f"Does {word} answer, or {word}.example.com?"
    journal = signed(journal)
    found = redacted(journal)

    names = journal["acns_chaos"]["names"]
    assert verify(journal) == verify(found) == ""
    tokens = TOKEN.findall(found["experiment"]["title"])
    assert word not in tokens
    assert names[tokens[0]]["name"] == word


def test_words_of_the_tool_are_no_names():
    """A namespace that is called like a word of the journal keeps the word readable."""
    for name in ("default", "completed", "probe", "world", "run"):
        journal = claim()
        journal["acns_chaos"]["target"]["namespace"] = name
        found = redacted(signed(journal))
        assert verify(found) == ""
        assert found["status"] == "completed"
        assert judge(found).outcome is judge(journal).outcome


def test_times_numbers_and_versions_stay():
    """What is neither a name nor an address reads as before."""
    text = as_written(redacted(stored()))

    for kept in ("v1.33.5+acns-chaos-lab", '"1.19.4"', '"1.44.0"', "hubble_drop_total", "0.0.0.0"):
        assert (kept in text) is (kept in as_written(stored()))
    for kept in (
        "cilium.io/v2",
        "POLICY_DENY",
        "deny-world-ingress",
        "spec.ingressDeny[0]",
        "8080",
    ):
        assert kept in text


@pytest.mark.parametrize(
    "words",
    [
        "since 09:47:37, again at 09:47:40.123",
        "2026-11-23T08:59:53.038035+00:00 and 2026-11-23T08:59:50Z",
        "update leases.coordination.k8s.io, list networkpolicies.networking.k8s.io",
        "spec.ingressDeny[0] of cilium.io/v2 on 8080/TCP, 0.0.0.0/0 and ::/0",
        "acns_chaos.errors.FaultRefused: rule-removed@spec.egress[0] after 12.5 ms (± 0.3)",
        "v1.33.5+acns-chaos-lab, Cilium 1.19.4, kube-system/kube-dns in default",
    ],
)
def test_what_only_looks_like_a_name(words):
    """Times, resources, places in a policy, versions and public names are no names."""
    journal = held()
    journal["run"][0]["output"] = {"said": words}
    found = redacted(signed(journal))

    assert found["run"][0]["output"] == {"said": words}


def test_older_journals_lose_their_signature():
    """A signature over names cannot hold without them: it is taken off rather than left broken."""
    found = redacted(stored("older-claim.json"))

    assert "signature" not in found["acns_chaos"]
    assert not re.search(r"pets|store-front|127\.0\.0\.1", as_written(found))
    assert found["acns_chaos"]["outcome"]["name"] == "HELD"


@examples(20)
@given(value=st.recursive(st.text(max_size=30), lambda one: st.lists(one, max_size=3)))
def test_any_text_seals(value):
    """Whatever text an activity returns, the journal and its redacted form verify."""
    journal = held()
    journal["run"][0]["output"] = {"said": value}
    sign(journal)

    assert verify(journal) == ""
    assert verify(redacted(journal)) == ""
    assert head(redacted(journal)) == head(journal)
