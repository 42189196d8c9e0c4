"""What may be ordered of a lab: every bad order is one sentence."""

import re
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.lab.misbehave.catalogue import KINDS
from acns_chaos.lab.misbehave.orders import Misused, read_order

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("order", "sentence"),
    [
        (None, "An order is a JSON object with a kind."),
        ([], "An order is a JSON object with a kind."),
        ({"kind": "gitop"}, "There is no misbehaviour 'gitop': did you mean 'gitops'?"),
        ({"kind": "503", "times": 1}, "An order takes no times: "),
        ({"kind": "503", "options": []}, None),
        ({"kind": "503", "options": [1]}, "options must be an object."),
        ({"kind": "503", "options": {"seconds": 1}}, "503 takes no seconds: it takes none."),
        ({"kind": "slow", "options": {"seconds": -1}}, "seconds is a number of seconds from 0"),
        ({"kind": "slow", "options": {"seconds": float("nan")}}, "seconds is a number of seconds"),
        ({"kind": "slow", "options": {"seconds": True}}, "seconds is a number of seconds"),
        ({"kind": "429", "options": {"retry_after": 1.5}}, "retry-after is a whole number"),
        ({"kind": "503", "for": "long"}, "for is a number of seconds"),
        ({"kind": "503", "count": 0}, "count is a whole number from 1"),
        ({"kind": "503", "selection": {"verbs": ["gett"]}}, "There is no verb 'gett': did you"),
        ({"kind": "503", "selection": {"verbs": "get"}}, "verbs is a list of verbs."),
        ({"kind": "503", "selection": {"resource": "cnps"}}, "There is no resource 'cnps'"),
        ({"kind": "503", "selection": {"colour": "red"}}, "A selection takes no colour"),
        ({"kind": "503", "selection": {"nth": 0}}, "nth is a whole number from 1"),
        ({"kind": "503", "selection": {"dry_run": "yes"}}, "dry-run is true or false"),
        ({"kind": "503", "selection": {"name": "\n"}}, "name is a text of 1 to 253 characters"),
        ({"kind": "503", "selection": {"server": "etcd"}}, "There is no server 'etcd'"),
        ({"kind": "409", "selection": {"server": "shop"}}, "409 is for the server kubernetes"),
        ({"kind": "409", "selection": {"verbs": ["get"]}}, "409 is for create, delete, "),
        ({"kind": "watch-slow", "selection": {"verbs": ["get"]}}, "watch-slow is for watch, not"),
        (
            {"kind": "500", "selection": {"server": "shop", "name": "x"}},
            "shop has no resources: choose by verb, path or user-agent.",
        ),
        ({"kind": "relay-down", "selection": {"name": "x"}}, "relay-down is not about requests"),
        ({"kind": "gitops"}, "gitops needs a policy: NAMESPACE/NAME"),
        ({"kind": "gitops", "options": {"policy": "a/b/c"}}, "policy is NAMESPACE/NAME, or NAME"),
        (
            {"kind": "gitops", "options": {"policy": "a/b", "flavour": "jenkins"}},
            "flavour is one of flux, argocd, not 'jenkins'.",
        ),
        ({"kind": "person", "options": {"policy": "a/b", "set": {}}}, "set is a JSON patch"),
        ({"kind": "partial-enforcement"}, "partial-enforcement needs a node: name of the node."),
    ],
)
def test_a_bad_order(order: Any, sentence: str | None) -> None:
    """What cannot be meant is refused in one sentence that names it."""
    if sentence is None:
        read_order(order)
        return
    with pytest.raises(Misused) as caught:
        read_order(order)
    said = str(caught.value)
    assert said.startswith(sentence)
    assert "\n" not in said


def test_defaults_are_filled_in() -> None:
    """A write kind leaves rehearsals alone; verbs and resources are spelled out."""
    order = read_order({"kind": "late-write", "selection": {"verbs": ["write"], "resource": "CNP"}})
    assert order.options == {"seconds": 5.0, "answer": "reset"}
    assert order.selection is not None
    assert order.selection.dry_run is False
    assert order.selection.resource == "ciliumnetworkpolicies"
    assert order.selection.verbs == {"create", "update", "patch", "delete", "deletecollection"}


def test_the_page_names_every_kind() -> None:
    """docs/lab.md has one row for each kind of misbehaviour, with a command that names it."""
    rows = re.findall(
        r"^\| `([a-z0-9-]+)` \| .* \| `acns-chaos lab inject ([a-z0-9-]+)",
        (ROOT / "docs/lab.md").read_text("utf-8"),
        re.MULTILINE,
    )
    assert [name for name, _ in rows] == list(KINDS)
    assert all(name == commanded for name, commanded in rows)
