"""Worlds as data: the ones that come along work, and a bad file is refused in one sentence."""

import copy
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from net_support import Bench

from acns_chaos.lab.api.failures import Failure
from acns_chaos.lab.api.store import Store
from acns_chaos.lab.api.writing.admission import load, load_definitions
from acns_chaos.lab.net.connections import Outcome
from acns_chaos.lab.net.network import Network
from acns_chaos.lab.world import World, WorldError, load_world, world_names
from acns_chaos.lab.world.checks import check
from acns_chaos.lab.world.generated import generated
from acns_chaos.lab.world.shape import WORLD
from acns_chaos.policy.validity import problems

DOCS = Path(__file__).parents[2] / "docs" / "worlds.md"
NODE = "{apiVersion: v1, kind: Node, metadata: {name: a}}"
SPACE = "{apiVersion: v1, kind: Namespace, metadata: {name: s}}"
POD = (
    "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: s}, "
    "spec: {nodeName: a, containers: [{name: c, image: x}]}, "
    "status: {phase: Running, podIP: 10.1.1.1}}"
)


def refused(path: Path, text: str | bytes) -> str:
    """What is said about a world file with this content."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(WorldError) as caught:
        load_world(str(path))
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


# ---------------------------------------------------------------------- the shipped worlds


@pytest.mark.parametrize("name", [*world_names(), "generated:1", "generated:37"])
def test_every_world_is_taken_in_by_the_api_server_with_valid_policies(name: str):
    """No object is refused, no policy would be ignored by an agent, every pod has its node."""
    world = load_world(name)
    store = Store()
    load_definitions(store)
    for obj in world.objects:
        load(store, obj)
    # Where runs keep their Leases; nobody else makes it in a lab.
    spaces = {obj["metadata"]["name"] for obj in world.objects if obj["kind"] == "Namespace"}
    assert spaces >= {"acns-chaos", "default", "kube-system"}
    policies = [obj for obj in world.objects if obj["kind"] == "CiliumNetworkPolicy"]
    # `pets-open` is the shop before anybody wrote a policy.
    assert bool(policies) is (name != "pets-open")
    assert [problems(policy) for policy in policies] == [[]] * len(policies)
    if not name.startswith("generated"):
        for policy in policies:
            saved = policy["metadata"]["annotations"]
            applied = json.loads(saved["kubectl.kubernetes.io/last-applied-configuration"])
            assert applied["spec"] == policy["spec"]


async def test_everything_in_the_all_in_one_shop_works():
    """Customers, the worker, the order line and both sites reach what they call."""
    bench = Bench("pets-allinone")
    assert len(bench.net.metrics.nodes) == 3
    connect, backend = bench.net.connections.connect, bench.net.directory.backend
    for visit in bench.world.visits:
        pod = next(p for p in bench.net.directory.pods() if p.name.startswith(f"{visit.client}-"))
        addresses, _ = await bench.clock.run(bench.net.resolver.lookup(pod, visit.host))
        assert addresses, visit
        outcome, _ = await bench.clock.run(connect(pod.endpoint, addresses[0], visit.port))
        assert outcome is Outcome.OPEN, visit
    assert bench.net.shop
    page, _ = await bench.clock.run(
        bench.net.shop.serve(backend("pets", "store-front"), "GET", "/")
    )
    assert page.status == 200
    admin = backend("pets", "store-admin")
    for name, port in (("product-service", 3002), ("makeline-service", 3001)):
        peer = bench.net.directory.service("pets", name)["spec"]["clusterIP"]
        outcome, _ = await bench.clock.run(connect(admin.endpoint, peer, port))
        assert outcome is Outcome.OPEN
        stranger = backend("pets", "documentdb")
        outcome, _ = await bench.clock.run(connect(stranger.endpoint, peer, port, timeout=1))
        assert outcome is Outcome.TIMEOUT


async def test_steady_visits_show_in_the_counters_and_nothing_is_dropped():
    """Minutes of the all-in-one shop: flows between its workloads, and no drop by policy."""
    bench = Bench("pets-allinone")
    bench.net._visits.start()
    await bench.clock.advance(120)
    await bench.net._visits.stop()
    customer = f"pets/{bench.pod('virtual-customer')}"
    assert bench.net.metrics.value("hubble_tcp_flags_total", source=customer, flag="SYN") >= 2
    assert bench.drops() == 0


def test_a_generated_world_is_the_same_for_the_same_number():
    """And has as many services as asked, on a tenth as many nodes, each with a policy."""
    assert generated("generated:40") == generated("generated:40")
    world = load_world("generated:40")
    counts = {
        kind: sum(obj["kind"] == kind for obj in world.objects)
        for kind in ("Deployment", "CiliumNetworkPolicy", "Node")
    }
    # The shared cluster has two Deployments and one node of its own.
    assert counts == {"Deployment": 42, "CiliumNetworkPolicy": 40, "Node": 5}
    check(generated("generated:500"), Path("generated:500"))


def test_a_small_generated_world_is_scraped_more_often():
    """An experiment waits for some scrapes: 5 s each would be most of its time."""
    asked = {count: generated(f"generated:{count}")["scrape_seconds"] for count in (1, 30, 500)}
    assert asked == {1: 0.5, 30: 1.5, 500: 5.0}


async def test_in_a_generated_world_callers_are_let_in_and_strangers_are_not():
    """Each service's first callee answers it, and does not answer a pod that has no rule for it."""
    bench = Bench("generated:30")
    for visit in bench.world.visits[:8]:
        pod = bench.net._visits._pod(visit)
        addresses, _ = await bench.clock.run(bench.net.resolver.lookup(pod, visit.host))
        connect = bench.net.connections.connect(pod.endpoint, addresses[0], visit.port)
        outcome, _ = await bench.clock.run(connect)
        assert outcome is Outcome.OPEN, visit
    last = bench.net._visits._pod(bench.world.visits[-1])
    first = bench.world.visits[0]
    name, namespace = first.host.split(".")[:2]
    peer = bench.net.directory.service(namespace, name)["spec"]["clusterIP"]
    attempt = bench.net.connections.connect(last.endpoint, peer, first.port, timeout=1)
    outcome, _ = await bench.clock.run(attempt)
    assert outcome is Outcome.TIMEOUT


@pytest.mark.parametrize(
    "name", [f"generated:{number}" for number in ("0", "501", "x", "", "-1", "1.5")]
)
def test_a_generated_world_of_no_sensible_size_is_refused(name: str):
    """One sentence with the bounds."""
    with pytest.raises(WorldError, match="a number from 1 to 500"):
        load_world(name)


@pytest.mark.slow
def test_a_hundred_services_start_within_the_budget_of_memory():
    """120 MB; how soon it starts is measured apart, on a machine that does nothing else."""
    process = subprocess.Popen(
        [
            sys.executable, "-m", "acns_chaos.lab", "serve",
            "--until-stdin-closes", "--world", "generated:100",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "ACNS_CHAOS_LAB_HOME": tempfile.mkdtemp()},
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    ready = json.loads(process.stdout.readline())
    if sys.platform == "linux":
        status = Path(f"/proc/{process.pid}/status").read_text()
        resident = int(status.split("VmRSS:")[1].split()[0]) / 1024
        assert resident < 120
    process.stdin.close()
    process.wait(timeout=10)
    process.stdout.close()
    assert len(ready["scrape"]) == 22


# ---------------------------------------------------------------------- settings


def test_settings_have_defaults_and_are_read(tmp_path: Path):
    """As documented."""
    assert load_world("pets").scrape_seconds == 0.5
    path = tmp_path / "w.yaml"
    path.write_text(
        f"name: mine\nobjects: [{NODE}]\nrouting: native\nmin_ttl: 60\nscrape_seconds: 30\n"
        "hubble: {ring: 63, policy_verdicts_metric: false}\n"
    )
    world = load_world(str(path))
    assert (world.name, world.routing, world.min_ttl) == ("mine", "native", 60.0)
    assert (world.scrape_seconds, world.hubble_ring) == (30.0, 63)
    assert world.hubble_policy_verdicts_metric is False


def test_an_including_file_replaces_objects_and_adds_to_what_is_outside(tmp_path: Path):
    """The same kind, namespace and name: the file that includes wins."""
    (tmp_path / "base.yaml").write_text(
        f"objects: [{NODE}, {SPACE}]\noutside: {{one.example: {{addresses: [192.0.2.1]}}}}\n"
    )
    path = tmp_path / "mine.yaml"
    mine = NODE.replace("name: a}", "name: a, labels: {mine: 'yes'}}")
    path.write_text(
        f"include: [base.yaml]\nobjects: [{mine}]\n"
        "outside: {Two.Example.: {addresses: [192.0.2.2]}}\n"
    )
    world = load_world(str(path))
    nodes = [obj for obj in world.objects if obj["kind"] == "Node"]
    assert [node["metadata"]["labels"] for node in nodes] == [{"mine": "yes"}]
    assert sorted(world.outside) == ["one.example", "two.example"]


def test_every_key_of_a_world_file_is_documented():
    """docs/worlds.md names them all, and the bases of images."""
    text = DOCS.read_text()
    for key in WORLD.fields:
        assert f"`{key}`" in text, key
    for name in world_names():
        assert f"`{name}`" in text, name


# ---------------------------------------------------------------------- bad files


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("objects: 5", "`objects` is a whole number, not a list"),
        (f"objects: [{NODE}]\nrouting: magic", "`routing` is 'magic': use tunnel, native"),
        (f"objects: [{NODE}]\nscrape_seconds: often", "`scrape_seconds` is a text, not a number"),
        (f"objects: [{NODE}]\nscrape_seconds: 0", "`scrape_seconds` is 0, which is not from 0.1"),
        (f"objects: [{NODE}]\nmin_ttl: .nan", "`min_ttl` is no finite number"),
        (f"objects: [{NODE}]\nhubble: {{ring: 0}}", "`hubble.ring` is 0"),
        (f"objects: [{NODE}]\nhubble: {{rings: 5}}", "`hubble.rings` is unknown"),
        (f"objects: [{NODE}]\nhubble: 5", "`hubble` is a whole number"),
        (f"objects: [{NODE}]\nimages: {{x: windows}}", "`images.x` is 'windows': use alpine"),
        (f"objects: [{NODE}]\nestablished: all", "`established` is a text, not a list"),
        (f"objects: [{NODE}]\nshop: {{namespace: s}}", "`shop.front` is missing"),
        (
            (f"objects: [{NODE}]\n"
            "shop: {namespace: s, front: f, orders: o, products: p, queue: q}"),
            "`shop.front` names the Service 'f', which is not there",
        ),
        (
            f"objects: [{NODE}]\noutside: {{a.example: {{addresses: [192.0.2.300]}}}}",
            "`outside.a.example.addresses[0]` is '192.0.2.300', which is no IPv4 address",
        ),
        (f"objects: [{NODE}]\noutside: {{a.example: {{}}}}", "addresses` is missing"),
        (
            f"objects: [{NODE}]\noutside: {{a.example: {{addresses: [192.0.2.1], ports: [0]}}}}",
            "`outside['a.example'].ports[0]` is 0",
        ),
        (
            (f"objects: [{NODE}]\n"
            "outside: {a.example: {addresses: [192.0.2.1], redirects: {/: nowhere}}}"),
            "leads to 'nowhere', which is no absolute URL",
        ),
        (f"objects: [{SPACE}, {NODE}, {POD.replace('nodeName: a', 'nodeName: b')}]",
         "Pod p is on the node 'b', which is not among the objects"),
        (f"objects: [{SPACE}, {NODE}, {POD.replace('10.1.1.1', 'here')}]",
         "Pod p runs without an IPv4 address in status.podIP"),
        (f"objects: [{SPACE}, {NODE}, {POD}, {POD.replace('name: p,', 'name: q,')}]",
         "Pod q has the address 10.1.1.1 of Pod p"),
        (f"objects: [{SPACE}, {NODE}, {POD.replace('image: x', 'image: 5')}]",
         "`Pod p.spec.containers[0].image` is a whole number, not a text"),
        (f"objects: [{NODE}]\nvisits: [{{namespace: s, client: c, host: h, port: 80, every: 1}}]",
         "`visits[0].client` names the workload 'c'"),
        (f"objects: [{NODE}]\nvisits: [{{client: c}}]", "is missing"),
        ("include: 5", "`include` is not a list of file names"),
        ("include: [../../etc/passwd]", "there is no such file"),
        (f"objects: [{NODE}]\nlater: {{a: [{{kind: x}}]}}", "`later.a[0].apiVersion` is missing"),
        ("name: 2026-11-01", "put it in quotes"),
        ("1: 2", "has the unknown key `1`"),
        ("a: &x 1", "an anchor or alias"),
        ("a: !!python/object:os.system x", "the tag"),
        ("name: a\nname: b", "the key `name` is there twice"),
        ("? [a]\n: b", "a key is no text"),
        ("a: 1\n---\nb: 2", "a second document"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested deeper than"),
        (b"\xff\xfe\x00", "cannot be read"),
        ("a: \x00", "is not YAML"),
        ("x" * 8_000_001, "is larger than 8 MB"),
        ("a: [" + "1," * 600_000 + "1]", "holds more than 500,000 values"),
        ("a: 0000-99-99", "not YAML"),
    ],
    ids=range(38),
)  # fmt: skip
def test_a_bad_file_is_refused_with_the_place(tmp_path: Path, text: str | bytes, says: str):
    """One sentence that names the file and the key."""
    message = refused(tmp_path / "world.yaml", text)
    assert says in message
    assert "world.yaml" in message


def test_a_bomb_of_aliases_costs_nothing(tmp_path: Path):
    """Nine levels of nine: refused at the first anchor, in no time."""
    levels = ["a0: &a0 [x]"] + [
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)
    ]
    begun = time.monotonic()
    assert "an anchor or alias" in refused(tmp_path / "bomb.yaml", "\n".join(levels))
    assert time.monotonic() - begun < 1


def test_a_circle_of_two_files_is_refused(tmp_path: Path):
    """Whichever of them one starts with."""
    (tmp_path / "a.yaml").write_text("include: [b.yaml]")
    message = refused(tmp_path / "b.yaml", "include: [a.yaml]")
    assert "includes itself" in message


def test_a_folder_is_no_world(tmp_path: Path):
    """It is not among the worlds, and it is no file."""
    with pytest.raises(WorldError, match="There is no world"):
        load_world(str(tmp_path))


# ---------------------------------------------------------------------- mutated files

_VALUES: list[Any] = [
    None, 0, -1, 10**30, 1.5, True, "", "x", "/", "10.0.0.999", "a" * 300, [], [None], [[]], {},
    {"": ""}, {"x": None}, "\u2028", ["x"], 65536,
]  # fmt: skip


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield value, key
            yield from _places(member)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield value, index
            yield from _places(item)


def _small() -> dict[str, Any]:
    """A world with one of everything the checks look at."""
    text = f"""
name: small
objects:
- {NODE}
- {SPACE}
- {POD}
- {{apiVersion: v1, kind: Service, metadata: {{name: v, namespace: s}},
   spec: {{clusterIP: 10.0.0.9, selector: {{app: p}}, ports: [{{port: 80, targetPort: http}}]}}}}
- {{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {{name: n, namespace: s}},
   spec: {{endpointSelector: {{}}, ingress: [{{}}]}}}}
outside: {{a.example: {{addresses: [192.0.2.1], ports: [80], redirects: {{/: 'https://b.example/'}}}}}}
shop: {{namespace: s, front: v, orders: v, products: v, queue: v}}
images: {{x: alpine}}
later: {{one: [{NODE}]}}
established: [p]
node_search: [x.example]
visits: [{{namespace: s, client: p, host: v, port: 80, every: 5}}]
routing: tunnel
min_ttl: 5
scrape_seconds: 1
hubble: {{ring: 7, policy_verdicts_metric: true}}
"""
    data: dict[str, Any] = yaml.safe_load(text)
    return data


def _start(world: World) -> None:
    """Take a world in as the lab's server does."""
    store = Store()
    load_definitions(store)
    for obj in world.objects:
        load(store, obj)
    network = Network(store, world)
    network.scraper.scrape()
    network.enforcement.close()


async def test_a_mutated_world_is_refused_or_works(tmp_path: Path):
    """Two hundred seeded mutations: a sentence, or a network that can be scraped. No traceback."""
    chance, path = random.Random(4), tmp_path / "world.yaml"
    _start(load_world(str(_written(path, _small()))))
    counts = {"refused": 0, "works": 0}
    said: list[str] = []
    for _ in range(200):
        data = _small()
        for _ in range(chance.choice((1, 1, 2))):
            where, key = chance.choice(list(_places(data)))
            action = chance.random()
            if action < 0.6:
                where[key] = copy.deepcopy(chance.choice(_VALUES))
            elif action < 0.8:
                del where[key]
            elif isinstance(where, dict):
                where[f"{key}x"] = where.pop(key)
        try:
            _start(load_world(str(_written(path, data))))
        except (WorldError, Failure) as problem:
            counts["refused"] += 1
            said.append(str(problem))
        else:
            counts["works"] += 1
    assert not [sentence for sentence in said if "\n" in sentence]
    assert counts["refused"] > 70
    assert counts["works"] > 10


def _written(path: Path, data: dict[str, Any]) -> Path:
    # As flow-less JSON: no anchors, whatever is repeated.
    path.write_text(json.dumps(data))
    return path
