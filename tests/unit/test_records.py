"""Records in ConfigMaps: whatever the original is, it comes back byte for byte."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.cluster.policies import policy_ref
from acns_chaos.cluster.records import LARGEST, Record, Records
from acns_chaos.errors import ApiError, NotFound, RecordBroken
from tests.failures.cluster import Actor, Cluster, Connection, Play
from tests.tiers import examples

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def record(before: dict[str, Any] | None, **more: Any) -> Record:
    """A record of the storefront's policy."""
    given: dict[str, Any] = {
        "run": "20260105T120000-ab12",
        "id": "f1",
        "owner": "me@host process 1",
        "cluster": "uid",
        "home": "pets",
        "deadline": "2026-01-05T12:05:00+00:00",
        "change": "modify",
        "ref": policy_ref("CiliumNetworkPolicy", "pets", "allow-store-front-traffic"),
        "operator": "ingress-from-nobody",
        "before": before,
        "fault": {"metadata": {}, "spec": {"ingress": [{"fromEndpoints": []}]}},
        **more,
    }
    return Record(**given)


def in_cluster(work: Any) -> Cluster:
    """Do something with the records of a cluster in memory."""
    cluster = Cluster()
    play = Play(cluster)
    actor = play.add(Actor("me"), lambda api: work(Records(api, "pets")))
    play.run()
    if actor.error:
        raise actor.error
    return cluster


def through_the_cluster(one: Record) -> tuple[Record, int]:
    """Write a record and read it back; also the number of its ConfigMaps."""
    found: list[Record] = []

    def work(records: Records) -> None:
        records.write(one)
        back, sha256 = records.read(one.name)
        assert sha256 == one.sha256()
        assert records.names() == [one.name]
        found.append(back)

    cluster = in_cluster(work)
    maps = [obj for path, obj in cluster.objects.items() if "/configmaps/" in path]
    for one_map in maps:
        size = sum(len(k.encode()) + len(v.encode()) for k, v in one_map["data"].items())
        assert size <= 1024 * 1024
    return found[0], len(maps)


@examples(60, derandomize=True)
@given(spec=JSON, label=st.text())
def test_any_original_comes_back_equal(spec: Any, label: str) -> None:
    """Empty lists, nulls, CRLF, quotes and every other character."""
    original = {"metadata": {"annotations": {"note": label}}, "spec": spec}
    back, _ = through_the_cluster(record(original))
    assert back.before == original
    assert json.dumps(back.before) == json.dumps(original)


@pytest.mark.parametrize(
    ("text", "length", "parts"),
    [("x", 900_000, 2), ("ü", 450_000, 2), ("\r\n", 300_000, 2), ("漢", 1_000_000, 4)],
)
def test_a_large_original_is_spread_over_several(text: str, length: int, parts: int) -> None:
    """An object of 900 kB and more, in one byte a character or three."""
    original = {"metadata": {}, "spec": {"description": text * length, "egress": []}}
    back, count = through_the_cluster(record(original))
    assert back.before == original
    assert count >= parts
    assert LARGEST < 1024 * 1024


def test_it_reads_as_itself() -> None:
    """A person finds what was changed, until when, and the command that puts it back."""
    data = record({"metadata": {}, "spec": {"ingress": []}}).data()
    assert json.loads(data["about"])["operator"] == "ingress-from-nobody"
    assert json.loads(data["original.json"]) == {"metadata": {}, "spec": {"ingress": []}}
    # That it works is tried with the real kubectl in tests/docs/test_security.py.
    assert data["by-hand"].startswith(
        "kubectl get configmap acns-chaos-20260105t120000-ab12-f1 "
        "acns-chaos-20260105t120000-ab12-f1-1 -n pets --ignore-not-found -o go-template="
    )
    assert data["by-hand"].endswith(
        "| kubectl replace --raw /apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies/"
        "allow-store-front-traffic -f -\n"
    )


def test_a_record_of_a_newer_schema_is_refused() -> None:
    """An older janitor must not guess what a newer run meant."""
    with pytest.raises(RecordBroken, match="has record schema '9', and this version knows 1"):
        Record.read({**record(None).data(), "schema": "9"}, "x")


@pytest.mark.parametrize(
    "change",
    [
        {"about": "{"},
        {"about": "[]"},
        {"about": "{}"},
        {"original.json": "{"},
        {"about": json.dumps({"ref": {"kind": "Pod", "namespace": "a", "name": "b"}})},
        {"about": record(None).data()["about"].replace("12:05:00+00:00", "12:05:00")},
    ],
)
def test_a_record_that_is_none_is_said(change: dict[str, str]) -> None:
    """Whatever somebody wrote into it, it is one sentence."""
    with pytest.raises(RecordBroken, match="ConfigMap x cannot be read as a record"):
        Record.read({**record({"metadata": {}}).data(), **change}, "x")


def test_removing_takes_all_parts_and_is_idempotent() -> None:
    """Finalizers first; what is gone is done."""
    one = record({"metadata": {}, "spec": "x" * 2_000_000})

    def work(records: Records) -> None:
        records.write(one)
        records.remove(one.name)
        records.remove(one.name)
        with pytest.raises(NotFound):
            records.read(one.name)

    assert not [path for path in in_cluster(work).objects if "/configmaps/" in path]


@pytest.mark.parametrize("cut", ["write", "remove"])
def test_removing_what_was_cut_short_takes_the_rest(cut: str) -> None:
    """Parts whose first was refused, or is gone already; those of another record stay."""
    one = record({"metadata": {}, "spec": "x" * 2_000_000})
    other = replace(one, id="f12")

    def work(records: Records) -> None:
        records.write(other)
        records.write(one)
        records.remove_one(one.name)
        if cut == "remove":
            records.remove_one(f"{one.name}-1")
        assert set(records.orphans().values()) == {one.deadline}
        records.remove(one.name)
        assert records.orphans() == {}
        assert records.read(other.name)[0] == other

    left = [path for path in in_cluster(work).objects if "/configmaps/" in path]
    assert {path.rpartition("/")[2].partition("-f")[2][:2] for path in left} == {"12"}


def test_a_deletion_by_somebody_else_does_not_lose_it() -> None:
    """The finalizer keeps the original until it was put back."""
    one = record({"metadata": {}, "spec": {}})

    def work(records: Records) -> None:
        records.write(one)
        api: Connection = records._api  # type: ignore[assignment]
        api.delete(f"/api/v1/namespaces/pets/configmaps/{one.name}")
        assert records.read(one.name)[0] == one
        records.remove(one.name)

    assert not [path for path in in_cluster(work).objects if "/configmaps/" in path]


def test_it_cannot_be_edited() -> None:
    """Its data is immutable, so only a deletion or a forgery is left, and the hash finds that."""
    one = record({"metadata": {}, "spec": {}})

    def work(records: Records) -> None:
        records.write(one)
        api: Connection = records._api  # type: ignore[assignment]
        path = f"/api/v1/namespaces/pets/configmaps/{one.name}"
        there = api.get(path)
        there["data"]["original.json"] = "{}"
        with pytest.raises(ApiError, match="immutable"):
            api.put(path, there)

    in_cluster(work)
