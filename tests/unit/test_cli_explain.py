"""`acns-chaos explain`: the walk as text and as JSON, from files."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from acns_chaos.cli import main

WORKSHOP = Path(__file__).resolve().parents[1] / "data" / "workshop"
BASE = str(WORKSHOP / "acns-network-policy.yaml")
FQDN = str(WORKSHOP / "acns-network-policy-fqdn.yaml")
STORE = str(WORKSHOP / "store.yaml")


def run(*arguments: str) -> Result:
    """Call the command over the workshop's policies in namespace pets."""
    return CliRunner().invoke(main, ["explain", "-n", "pets", *arguments])


def base(*arguments: str) -> Result:
    """Over its first step."""
    return run("--policies", BASE, *arguments)


def test_the_walk_is_printed() -> None:
    """Both sides, the rule that decided, what was assumed, and the outcome at the end."""
    result = base("--from", "world", "--to", "pets/store-front", "--port", "8080")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"By the policies of {BASE}:",
        "",
        f"Note: 4 objects in {BASE} without a namespace: taken to be in pets.",
        "world -> pets/store-front on 8080/TCP",
        "",
        "1. Egress of world: not judged",
        "   world is no policy subject, so its egress is not judged.",
        "",
        "2. Ingress of pets/store-front: ALLOWED",
        "   selected by pets/allow-store-front-traffic",
        "   default deny is on, by pets/allow-store-front-traffic",
        "    hit spec.ingress[0] of pets/allow-store-front-traffic",
        "        allows from world on port 8080/TCP",
        "        peer matches, port matches",
        "   spec.ingress[0] of pets/allow-store-front-traffic allows it.",
        "",
        (
            "Note: Nobody says which pods there are in pets: 5 are assumed from the labels that "
            "policies select, without container ports."
        ),
        "",
        (
            "ALLOWED: world to pets/store-front on 8080/TCP, by spec.ingress[0] of "
            "pets/allow-store-front-traffic."
        ),
    ]


def test_the_json_has_the_same_facts() -> None:
    """With the places and their notes."""
    result = base("--from", "world", "--to", "pets/store-front", "--port", "80", "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert found["verdict"] == "DENIED"
    assert found["dropReason"] == "POLICY_DENIED"
    assert found["from"] == [BASE]
    assert found["ingress"]["defaultDenyBy"] == [
        {
            "kind": "CiliumNetworkPolicy",
            "namespace": "pets",
            "name": "allow-store-front-traffic",
        }
    ]
    assert found["ingress"]["rules"][0]["why"] == (
        "peer matches, port is 8080 and 80/TCP is asked for"
    )
    assert len(found["notes"]) == 2


def test_with_the_pods_the_service_port_is_recognised() -> None:
    """The commonest mistake: asking for the service's port."""
    result = base(
        "--policies", STORE, "--from", "world", "--to", "pets/store-front", "--port", "80"
    )
    assert "80 is the port of service pets/store-front; policy sees the target port 8080" in (
        result.stdout
    )


def test_a_container_port_has_a_name() -> None:
    """Which counts as its number."""
    arguments = ("--policies", STORE, "--from", "pets/order-service", "--to", "pets/rabbitmq")
    result = base(*arguments, "--port", "rabbitmq-amqp", "--json")
    assert json.loads(result.stdout)["traffic"] == "5672/TCP"
    wrong = base(*arguments, "--port", "amqp")
    assert wrong.exit_code == 2
    assert wrong.stderr == (
        "Error: --port 'amqp' is no number and no TCP container port of pets/rabbitmq: it has "
        "rabbitmq-amqp, rabbitmq-http.\n"
    )


@pytest.mark.parametrize(
    ("name", "l7"), [("www.bing.com", "DENIED"), ("a.microsoft.com", "ALLOWED")]
)
def test_a_dns_query_is_judged_by_its_name(name: str, l7: str) -> None:
    """On 53/UDP unless something else is asked for."""
    ends = ("--from", "pets/order-service", "--to", "kube-system/kube-dns")
    found = json.loads(run("--policies", FQDN, *ends, "--dns", name, "--json").stdout)
    assert (found["traffic"], found["verdict"], found["l7"]) == ("53/UDP", "ALLOWED", l7)
    tcp = run("--policies", FQDN, *ends, "--dns", name, "--protocol", "tcp", "--json").stdout
    assert json.loads(tcp)["verdict"] == "DENIED"


def test_names_outside_are_judged_by_what_was_learned() -> None:
    """www.bing.com is no name of the policy, a name of microsoft.com is."""
    arguments = ("--policies", FQDN, "--from", "order-service", "--port", "443", "--json", "--to")
    assert json.loads(run(*arguments, "www.bing.com").stdout)["verdict"] == "DENIED"
    assert json.loads(run(*arguments, "graph.microsoft.com").stdout)["verdict"] == "ALLOWED"


def test_icmp_needs_no_port() -> None:
    """The echo request is meant unless a type is given."""
    result = base("--from", "world", "--to", "store-front", "--protocol", "icmp", "--json")
    assert json.loads(result.stdout)["traffic"] == "ICMP type 8"


def test_an_http_request_is_judged() -> None:
    """Written as a method and a path."""
    ends = ("--from", "world", "--to", "pets/store-front", "--port", "8080")
    found = json.loads(base(*ends, "--http", "GET /health", "--json").stdout)
    assert found["request"] == "HTTP GET /health"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--to", "x"), "Missing option '--from'"),
        (("--from", "world", "--to", "pets/store-front"), "Which port is asked for? Give --port"),
        (
            ("--from", "world", "--to", "pets/storefront", "--port", "80"),
            "There is no workload or pod 'pets/storefront'; did you mean pets/store-front.",
        ),
        (
            ("--from", "world", "--to", "pets/store-front", "--port", "99999"),
            "A TCP flow to port 99999 cannot be judged; give a port from 0 to 65535.",
        ),
        (
            ("--from", "world", "--to", "pets/store-front", "--port", "80", "--protocol", "x"),
            "Protocol 'X' of a flow is not known",
        ),
        (
            ("--from", "world", "--to", "pets/store-front", "--port", "80", "--http", "GET"),
            "--http 'GET' is no request; write --http 'GET /health'.",
        ),
        (
            ("--policies", "/none", "--from", "a", "--to", "b", "--port", "1"),
            "There is no file or folder /none; name one that exists.",
        ),
    ],
)
def test_bad_input_is_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    """On stderr, exit code 2, nothing on stdout."""
    result = base(*arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stdout == ""


def test_without_a_place_in_ci_the_cluster_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never whatever context is current."""
    monkeypatch.setenv("CI", "true")
    monkeypatch.delenv("ACNS_CHAOS_CLUSTER", raising=False)
    result = run("--from", "world", "--to", "pets/store-front", "--port", "80")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ACNS_CHAOS_CLUSTER is not set in CI")
