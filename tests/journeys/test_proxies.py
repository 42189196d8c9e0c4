"""A proxy in the environment: what is for this machine never goes there, as with kubectl."""

import socket
from collections.abc import Iterator

import pytest

from tests.journeys.conftest import Chaos, Lab
from tests.journeys.minimal import experiment, inject, nothing_is_left, read, restore
from tests.tiers import loop

pytestmark = [pytest.mark.journey, pytest.mark.slow]


@pytest.fixture
def closed() -> Iterator[str]:
    """Address of a proxy that is not there: whoever goes to it is refused."""
    with socket.socket() as held:
        # Bound and not listening: nobody else can take the port meanwhile.
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.mark.parametrize("no_proxy", loop(["example.com", ""]))
def test_the_flagship_is_held_behind_a_proxy(
    own_chaos: Chaos, lab: Lab, closed: str, no_proxy: str
) -> None:
    """API server, commands in pods, shop and Prometheus of the lab are all reached directly."""
    before = lab.policies()
    names = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "ALL_PROXY")
    proxies = dict.fromkeys(names, closed)
    done = own_chaos.run("experiments/storefront-ingress.json", NO_PROXY=no_proxy, **proxies)
    assert (done.code, done.outcome) == (0, "HELD"), done.output
    nothing_is_left(lab, before)


def test_a_named_context_on_this_machine_is_reached_directly(
    own_chaos: Chaos, lab: Lab, closed: str
) -> None:
    """As a cluster in containers is: the run and its watchdog, without the lab control's help."""
    before = lab.policies()
    plan = experiment(inject(), restore())
    plan["controls"] = plan["controls"][:1]
    done = own_chaos.run(
        plan,
        ACNS_CHAOS_CLUSTER=lab.ready["context"],
        KUBECONFIG=lab.ready["kubeconfig"],
        HTTPS_PROXY=closed,
    )
    assert [one["restored"]["by"] for one in done.section["faults"]] == ["method"], done.output
    nothing_is_left(lab, before)


def test_a_proxy_that_the_kubeconfig_names_is_meant(
    own_chaos: Chaos, lab: Lab, closed: str
) -> None:
    """Then it is used, also to this machine: nothing answers there, and nothing runs."""
    own = own_chaos.folder / "kubeconfig"
    text = (own_chaos.folder / lab.ready["kubeconfig"]).read_text()
    own.write_text(text.replace("server: ", f"proxy-url: {closed}\n    server: ", 1))
    done = own_chaos.run(
        experiment(read("r", "policies_are_as_recorded")),
        ACNS_CHAOS_CLUSTER=lab.ready["context"],
        KUBECONFIG=str(own),
    )
    assert done.code == 1
    assert "proxy" in done.output.lower(), done.output
