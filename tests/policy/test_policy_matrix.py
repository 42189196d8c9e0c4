"""The matrix: every cell is the verdict that the engine gives one by one."""

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.errors import PolicyError
from acns_chaos.policy import Endpoint, Engine, Flow, ObjectRef, Settings
from acns_chaos.policy.diff import delta
from acns_chaos.policy.matrix import Matrix
from acns_chaos.policy.matrix_cells import CELLS, Cell
from tests.bench.worlds import PORTS, generate
from tests.policy.policy_cases import (
    API,
    DB,
    HOST,
    NAMESPACES,
    ON_8080,
    OUTSIDE,
    PODS,
    REMOTE,
    TO_API,
    TO_WEB,
    WEB,
    WEST,
    WORLD,
    ccnp,
    cnp,
    from_web,
    knp,
    to_api,
)
from tests.policy.test_policy_properties import policies
from tests.tiers import examples

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests/data/vectors"

ASKED = [(80, "TCP"), (8080, "TCP"), (53, "UDP"), (9090, "TCP"), (None, "ICMP")]
EVERYBODY = (*PODS, WORLD, HOST, REMOTE, OUTSIDE, Endpoint.outside("192.0.2.7", fqdns=["a.test"]))


def one_by_one(engine: Engine, flow: Flow) -> Cell:
    """The engine's verdict in the matrix's words."""
    icmp = flow.protocol.startswith("ICMP")
    verdict = engine.verdict(
        flow.source,
        flow.destination,
        None if icmp else flow.port,
        flow.protocol,
        icmp_type=flow.port if icmp else None,
    )
    sides = (verdict.egress.verdict, verdict.ingress.verdict)
    return Cell(verdict.verdict, verdict.drop_reason, *sides)


def cell(matrix: Matrix, flow: Flow) -> Cell:
    """The matrix's verdict on a flow of it."""
    return matrix.verdict(flow.source, flow.destination, flow.port, flow.protocol)


def wrong(matrix: Matrix, engine: Engine | None = None) -> list[tuple[Flow, Cell, Cell]]:
    """The cells in which the matrix differs from an engine asked one by one: at most five."""
    found = []
    for flow in matrix.flows():
        expected, got = one_by_one(engine or matrix.engine, flow), cell(matrix, flow)
        if got != expected:
            found.append((flow, expected, got))
    return found[:5]


def small(*raw: Mapping[str, Any], **more: Any) -> Matrix:
    """The matrix of the small cluster with these policies."""
    engine = Engine(raw, namespaces=NAMESPACES, endpoints=PODS, **more)
    return Matrix(engine, EVERYBODY, ASKED)


def planes(matrix: Matrix) -> list[bytes]:
    """All rows of all ports."""
    return [matrix.row(s, *port) for s in matrix.identities for port in matrix.ports]


def generated_worlds() -> Iterator[dict[str, Any]]:
    lines = gzip.decompress((VECTORS / "generated.jsonl.gz").read_bytes()).splitlines()
    yield from map(json.loads, lines)


def engine_of(world: Mapping[str, Any], endpoints: Iterable[Endpoint]) -> Engine:
    return Engine(
        world["policies"],
        namespaces=world.get("namespaces", {}),
        endpoints=endpoints,
        services=world.get("services", ()),
        cidr_groups=world.get("cidrGroups", ()),
        settings=Settings.from_json(world.get("config") or {}),
    )


def test_each_sample_flow_has_its_verdict_in_the_matrix_of_its_two_endpoints() -> None:
    """Both sides, the verdict and the drop reason are those that Cilium's own engine gave."""
    seen, found = 0, []
    for path in sorted(VECTORS.glob("*.json")):
        for vector in json.loads(path.read_text(encoding="utf-8"))["vectors"]:
            if "flow" not in vector:
                continue
            flow, expected = vector["flow"], vector["expected"]
            pair = [
                Endpoint.from_json(flow[end], vector.get("namespaces", {}))
                for end in ("source", "destination")
            ]
            asked = flow.get("icmpType", flow.get("port")), flow["protocol"]
            got = Matrix(engine_of(vector, pair), pair, [asked]).verdict(*pair, *asked)
            names = ("verdict", "dropReason", "egress", "ingress")
            seen += 1
            if got != tuple(expected.get(name) for name in names):
                found.append((vector["id"], expected, got))
    assert not found, found[:5]
    assert seen > 100


@pytest.mark.slow
def test_each_flow_of_the_generated_worlds_has_its_verdict_in_the_world_s_matrix() -> None:
    """One matrix for each world; what it says is what Cilium's own engine said."""
    flows, found = 0, []
    for world in generated_worlds():
        named = {
            name: Endpoint.from_json(raw, world.get("namespaces", {}))
            for name, raw in world["endpoints"].items()
        }
        asked = [
            ((more[0] if more else {}).get("icmpType", port), protocol)
            for _, _, protocol, port, *more in world["flows"]
        ]
        matrix = Matrix(engine_of(world, named.values()), named.values(), asked)
        for flow, ports, expected in zip(world["flows"], asked, world["expected"], strict=True):
            got = matrix.verdict(named[flow[0]], named[flow[1]], *ports)
            egress, ingress, verdict, reason, _ = expected
            flows += 1
            if got != (verdict, reason, egress, ingress):
                found.append((world["id"], flow, expected, got))
    assert not found, found[:5]
    assert flows > 2000


def test_every_cell_of_the_generated_worlds_is_the_engine_s_verdict() -> None:
    """Also the pairs and ports that no sample flow asks for; every tenth world."""
    cells = 0
    for number, world in enumerate(generated_worlds()):
        if number % 10:
            continue
        endpoints = [
            Endpoint.from_json(raw, world.get("namespaces", {}))
            for raw in world["endpoints"].values()
        ]
        matrix = Matrix(engine_of(world, endpoints), endpoints, ASKED)
        assert wrong(matrix) == [], world["id"]
        cells += len(matrix)
    assert cells > 2000


@pytest.mark.slow
@examples(12)
@given(st.integers(0, 2**32))
def test_every_cell_of_a_random_cluster_is_the_engine_s_verdict(seed: int) -> None:
    """Deny rules, prefixes, entities, names and named ports among them."""
    world = generate(24, 14, seed)
    matrix = Matrix(world.engine(), world.endpoints, PORTS)
    assert wrong(matrix, world.engine()) == []


agents = st.builds(
    Settings,
    enforcement=st.sampled_from(["default", "always", "never"]),
    allow_localhost=st.sampled_from(["auto", "policy"]),
    host_firewall=st.booleans(),
    default_local_cluster=st.booleans(),
    node_selector_labels=st.booleans(),
    non_default_deny=st.booleans(),
    ipv6=st.booleans(),
)


@pytest.mark.slow
@examples(25)
@given(policies(), policies("q"), agents)
def test_every_cell_is_the_engine_s_verdict_whatever_the_agents_settings(
    one: dict[str, Any], two: dict[str, Any], agent: Settings
) -> None:
    """Empty lists and absent fields, host policies, foreign pods and init included."""
    host = {"nodeSelector": {}, "ingress": one["spec"]["ingress"] or [{}]}
    other = small(one, two, ccnp(host, "host"), settings=agent)
    who = (*other.identities, Endpoint.entity("init"), Endpoint.outside("2001:db8::1"))
    matrix = Matrix(other.engine, who, ASKED)
    assert wrong(matrix) == []


@examples(20)
@given(st.integers(0, 2**32), st.data())
def test_the_matrix_after_a_change_is_a_new_matrix_of_the_changed_cluster(
    seed: int, data: st.DataObject
) -> None:
    """However many changes came before, and whether or not they were looked at."""
    world, others = generate(20, 10, seed), generate(20, 10, seed + 1).policies
    matrix = Matrix(world.engine(), world.endpoints, PORTS)
    now = {ObjectRef.of(raw): raw for raw in world.policies}
    for raw in data.draw(st.lists(st.sampled_from(others), min_size=1, max_size=4)):
        if data.draw(st.booleans()):
            matrix, now[ObjectRef.of(raw)] = matrix.with_policy(raw), raw
        else:
            ref = data.draw(st.sampled_from(sorted(now)))
            matrix = matrix.without_policy(ref)
            del now[ref]
        if data.draw(st.booleans()):
            assert sum(matrix.count().values()) == len(matrix)
    engine = Engine(now.values(), namespaces=world.namespaces, endpoints=world.endpoints)
    assert planes(matrix) == planes(Matrix(engine, world.endpoints, PORTS))


@pytest.mark.slow
@examples(20)
@given(st.integers(0, 2**32), st.data())
def test_the_delta_is_the_cell_by_cell_difference_of_two_brute_force_matrices(
    seed: int, data: st.DataObject
) -> None:
    """In the same order as comparing flow by flow, for changes of one side and of both."""
    world = generate(14, 10, seed)
    others = (*generate(14, 10, seed + 1).policies, *WIDE)
    before = Matrix(world.engine(), world.endpoints, PORTS)
    mutant = data.draw(st.sampled_from(others))
    after = before.with_policy(mutant)
    found = before.delta(after)
    was = [one_by_one(before.engine, flow).verdict for flow in before.flows()]
    now = [one_by_one(after.engine, flow).verdict for flow in before.flows()]
    opened, closed = (
        tuple(f for f, a, b in zip(before.flows(), was, now, strict=True) if (a, b) == change)
        for change in (("DENIED", "ALLOWED"), ("ALLOWED", "DENIED"))
    )
    assert (found.opened, found.closed) == (opened, closed)
    assert (found.opened_count, found.closed_count) == (len(opened), len(closed))
    assert found.empty is (not opened and not closed)
    brute = delta(before.engine, after.engine, before.flows())
    assert (brute.opened, brute.closed) == (opened, closed)
    back = after.delta(before)
    assert (back.opened, back.closed) == (closed, opened)


WIDE = (
    ccnp({"endpointSelector": {}, "ingress": [{"fromEntities": ["cluster"]}]}, "wide"),
    ccnp({"endpointSelector": {}, "egressDeny": [{"toEntities": ["world"]}]}, "wide"),
    ccnp({"endpointSelector": {}, "ingress": [{}], "egress": [{"toEntities": ["all"]}]}, "wide"),
)


@examples(20)
@given(policies(), policies(), policies("q"))
def test_two_matrices_made_apart_have_the_delta_of_their_engines(
    one: dict[str, Any], two: dict[str, Any], other: dict[str, Any]
) -> None:
    """The cells decide, not how a matrix came about."""
    before, after = small(one, other), small(two, other)
    found = before.delta(after)
    brute = delta(before.engine, after.engine, before.flows())
    assert (found.opened, found.closed) == (brute.opened, brute.closed)


def test_a_cell_tells_both_sides_and_the_drop_reason_apart() -> None:
    """Default deny, a deny rule, an allowed flow, and a side that no policy is enforced at."""
    matrix = small(
        to_api({"fromEndpoints": [TO_WEB], "toPorts": ON_8080}),
        from_web({"toEntities": ["cluster"]}),
        cnp({"endpointSelector": TO_WEB, "egressDeny": [{"toEntities": ["host"]}]}, "d"),
    )
    assert matrix.verdict(WEB, API, 8080) == ("ALLOWED", None, "ALLOWED", "ALLOWED")
    assert matrix.verdict(WEB, API, 80) == ("DENIED", "POLICY_DENIED", "ALLOWED", "DENIED")
    assert matrix.verdict(WEB, HOST, 80) == ("DENIED", "POLICY_DENY", "DENIED", "N/A")
    assert matrix.verdict(WEB, WORLD, 80) == ("DENIED", "POLICY_DENIED", "DENIED", "N/A")
    assert matrix.verdict(WORLD, REMOTE, 80) == ("ALLOWED", None, "N/A", "N/A")
    assert matrix.verdict(WORLD, API, None, "ICMP").ingress == "DENIED"


def test_of_two_denials_the_sender_s_reason_is_given() -> None:
    """As the engine and Cilium do."""
    matrix = small(
        cnp({"endpointSelector": TO_WEB, "egress": [{}]}, "a"),
        cnp({"endpointSelector": TO_API, "ingressDeny": [{"fromEntities": ["all"]}]}, "b"),
    )
    assert matrix.verdict(WEB, API, 80) == ("DENIED", "POLICY_DENIED", "DENIED", "DENIED")
    assert matrix.verdict(DB, API, 80) == ("DENIED", "POLICY_DENY", "ALLOWED", "DENIED")


def test_a_row_has_a_byte_for_each_destination() -> None:
    """In the order of the identities; `CELLS` says what a byte means."""
    matrix = small(from_web({"toEndpoints": [TO_API]}))
    row = matrix.row(WEB, 80)
    allowed = [w.name for w, b in zip(matrix.identities, row, strict=True) if not CELLS[b][1]]
    assert allowed == ["shop/api-1"]
    assert len(row) == len(matrix.identities) == len(EVERYBODY)


def test_the_allowed_pairs_of_a_port_are_those_whose_cell_says_so() -> None:
    """Source by source; the number of all of them is the count."""
    no_world = {"egressDeny": [{"toEntities": ["world"]}], "enableDefaultDeny": {"egress": False}}
    rule = {"fromEndpoints": [TO_WEB], "toPorts": ON_8080}
    matrix = small(to_api(rule), ccnp({"endpointSelector": {}, **no_world}))
    for port in matrix.ports:
        assert list(matrix.allowed(*port)) == [
            (source, destination)
            for source in matrix.identities
            for destination in matrix.identities
            if matrix.verdict(source, destination, *port).verdict == "ALLOWED"
        ]
    assert (WEB, API) in set(matrix.allowed(8080))
    assert (DB, API) not in set(matrix.allowed(8080))
    allowed = sum(1 for port in matrix.ports for _ in matrix.allowed(*port))
    count = matrix.count()
    assert count["ALLOWED"] == allowed
    assert sum(count.values()) == len(matrix) == len(EVERYBODY) ** 2 * len(ASKED)
    assert count["POLICY_DENY"] > 0
    assert count["POLICY_DENIED"] > 0


def test_replicas_are_one_identity_and_the_first_stands_for_all() -> None:
    """Pods with equal labels and port names; two outside addresses are two."""
    replica = Endpoint.pod(
        "shop", {"app": "web"}, name="web-2", namespace_labels={"team": "blue"}, ip="10.0.0.9"
    )
    there = Endpoint.outside("203.0.113.11")
    engine = Engine([from_web({"toCIDR": ["203.0.113.11/32"]})], namespaces=NAMESPACES)
    matrix = Matrix(engine, [WEB, replica, OUTSIDE, there], [(80, "TCP"), (80, "TCP")])
    assert matrix.identities == (WEB, OUTSIDE, there)
    assert matrix.ports == ((80, "TCP"),)
    assert matrix.verdict(replica, OUTSIDE, 80).verdict == "DENIED"
    assert matrix.verdict(replica, there, 80).verdict == "ALLOWED"


def test_pods_that_name_their_ports_differently_are_two_identities() -> None:
    """On ingress a port name means the pod's own container port."""
    pods = [
        Endpoint.pod("shop", {"app": "x"}, name=f"x-{n}", named_ports={"http": (n, "TCP")})
        for n in (80, 8080)
    ]
    ports = [{"ports": [{"port": "http", "protocol": "TCP"}]}]
    subject = {"matchLabels": {"app": "x"}}
    policy = cnp({"endpointSelector": subject, "ingress": [{"toPorts": ports}]})
    matrix = Matrix(Engine([policy], endpoints=pods), [*pods, WORLD], ASKED)
    assert matrix.verdict(WORLD, pods[0], 80).verdict == "ALLOWED"
    assert matrix.verdict(WORLD, pods[0], 8080).verdict == "DENIED"
    assert matrix.verdict(WORLD, pods[1], 8080).verdict == "ALLOWED"


def test_a_pod_the_engine_was_not_told_of_still_adds_its_port_names() -> None:
    """The engine counts both ends of a flow in; conflicting numbers match nothing."""
    ports = [{"ports": [{"port": "http", "protocol": "TCP"}]}]
    policy = from_web({"toEntities": ["cluster"], "toPorts": ports})
    other = Endpoint.pod("shop", {"app": "z"}, named_ports={"http": (80, "TCP")})
    matrix = Matrix(Engine([policy], endpoints=[]), [WEB, API, other, DB, WORLD], ASKED)
    assert wrong(matrix) == []
    assert matrix.verdict(WEB, API, 8080).egress == "ALLOWED"
    assert matrix.verdict(WEB, other, 80).egress == "ALLOWED"
    assert matrix.verdict(WEB, DB, 80).egress == "DENIED"


def test_a_pod_of_another_cluster_is_judged_as_a_peer_only() -> None:
    """Its own side is not ruled by these policies."""
    matrix = small(from_web({"toEndpoints": [TO_API]}))
    assert matrix.verdict(WEST, DB, 80) == ("ALLOWED", None, "ALLOWED", "ALLOWED")
    assert matrix.verdict(WEB, WEST, 80).egress == "DENIED"


def test_an_object_that_the_agents_refuse_changes_no_cell() -> None:
    """The version before it stays in force, and the engine lists what is wrong."""
    matrix = small(to_api({"fromEndpoints": [TO_WEB]}))
    broken = matrix.with_policy(to_api({"fromEndpoints": [TO_WEB], "fromEntities": ["world"]}))
    assert len(broken.engine.invalid) == 1
    assert matrix.delta(broken).empty
    assert matrix.delta(broken).opened == ()


def test_a_changed_reason_alone_is_no_delta() -> None:
    """A deny rule on top of default deny drops the same flows."""
    matrix = small(to_api({}))
    denied = matrix.with_policy(to_api({}, ingressDeny=[{"fromEntities": ["world"]}]))
    assert denied.verdict(WORLD, API, 80).drop_reason == "POLICY_DENY"
    assert matrix.verdict(WORLD, API, 80).drop_reason == "POLICY_DENIED"
    assert matrix.delta(denied).empty


def test_network_policies_count_like_the_others() -> None:
    """An empty `from` means everybody there."""
    matrix = small(knp({"podSelector": TO_API, "ingress": [{"from": [], "ports": [{"port": 80}]}]}))
    assert matrix.verdict(WORLD, API, 80).verdict == "ALLOWED"
    assert matrix.verdict(WORLD, API, 8080).verdict == "DENIED"
    assert matrix.count()["POLICY_DENY"] == 0


def test_what_a_matrix_was_not_made_for_is_an_error_in_one_sentence() -> None:
    """An endpoint, a port, a protocol, and a matrix of other cells."""
    matrix = small(to_api({}))
    with pytest.raises(PolicyError, match=r"has no endpoint 198\.51\.100\.1; make it with all"):
        matrix.verdict(WEB, Endpoint.outside("198.51.100.1"), 80)
    with pytest.raises(PolicyError, match="was not asked for 81/TCP"):
        matrix.row(WEB, 81)
    with pytest.raises(PolicyError, match="'TCPP' of a flow is not known"):
        Matrix(matrix.engine, EVERYBODY, [(80, "TCPP")])
    with pytest.raises(PolicyError, match="cannot be judged"):
        Matrix(matrix.engine, EVERYBODY, [(70000, "TCP")])
    with pytest.raises(PolicyError, match="different identities or ports cannot be compared"):
        matrix.delta(Matrix(matrix.engine, EVERYBODY, [(80, "TCP")]))
    with pytest.raises(PolicyError, match="There is no CiliumNetworkPolicy shop/none"):
        matrix.without_policy(ObjectRef("CiliumNetworkPolicy", "shop", "none"))


def test_a_matrix_of_nobody_and_one_of_no_ports_have_no_cells() -> None:
    """And nothing to compare."""
    engine = Engine([to_api({})])
    for matrix in (Matrix(engine, [], ASKED), Matrix(engine, [WEB], [])):
        assert len(matrix) == 0
        assert matrix.count()["ALLOWED"] == 0
        assert list(matrix.flows()) == []
        assert matrix.delta(matrix.with_policy(from_web({}))).empty
