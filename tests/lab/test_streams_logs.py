"""pods/log: the options as a kubelet reads them, and what the programs of the world say."""

import asyncio
import json
import re
import subprocess
import threading
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from conftest import TOKEN, WORLD, InProcessLab
from kubectls import kubectl_path, run_kubectl  # noqa: F401 - a fixture
from net_support import NOBODY, Bench

from acns_chaos.lab.api.app import Api
from acns_chaos.lab.api.pods.log import LINES_KEPT, Logs
from acns_chaos.lab.api.store import Store
from acns_chaos.lab.api.writing.admission import load, load_definitions

LOG = "/api/v1/namespaces/pets/pods/shop/log"
PAIR = "/api/v1/namespaces/pets/pods/pair/log"
# 2026-11-22T23:00:05Z
NOW = 1_795_388_405.0


class LoggingLab(InProcessLab):
    """The API over a tiny world whose pod `shop` has written five lines, a second apart."""

    def __init__(self, store: Store, http: TestClient[Any, Any], logs: Logs) -> None:
        super().__init__(store, http)
        self.logs = logs

    async def read(self, query: str = "") -> str:
        """The log of the pod `shop`."""
        reply = await self.call("GET", LOG + query)
        assert reply.code == 200, reply.body
        return str(reply.body)


@pytest.fixture
async def lab() -> AsyncIterator[LoggingLab]:
    """An API server with logs, at one moment."""
    at = NOW - 5
    logs = Logs(lambda: at)
    for number in range(1, 6):
        at += 1
        logs.write("pets", "shop", "shop", f"line {number}")
    store = Store()
    load_definitions(store)
    for obj in WORLD:
        load(store, obj)

    async def run(_: object) -> int:
        return 0

    server = TestServer(Api(store, TOKEN, run, "v1.33.5", logs=logs).application())
    await server.start_server(shutdown_timeout=0.1)
    client = TestClient(server)
    yield LoggingLab(store, client, logs)
    await client.close()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "line 1\nline 2\nline 3\nline 4\nline 5\n"),
        ("?tailLines=2", "line 4\nline 5\n"),
        ("?tailLines=0", ""),
        ("?tailLines=99&container=shop", "line 1\nline 2\nline 3\nline 4\nline 5\n"),
        ("?sinceSeconds=1", "line 4\nline 5\n"),
        ("?sinceTime=2026-11-22T23:00:05Z", "line 5\n"),
        ("?sinceTime=2026-11-23T01:00:03%2B02:00&tailLines=4", "line 3\nline 4\nline 5\n"),
        ("?limitBytes=10", "line 1\nlin"),
        ("?timestamps=true&tailLines=1", "2026-11-22T23:00:05.000000000Z line 5\n"),
        ("?follow=false&previous=false&timestamps=0&tailLines=1", "line 5\n"),
    ],
)
async def test_the_options(lab: LoggingLab, query: str, expected: str) -> None:
    """The tail is counted before anything is dropped for its age, and bytes at the very end."""
    assert await lab.read(query) == expected


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        (
            f"{LOG}?previous=true",
            400,
            'previous terminated container "shop" in pod "shop" not found',
        ),
        (f"{LOG}?container=web", 400, "container web is not valid for pod shop"),
        (
            PAIR,
            400,
            (
                "a container name must be specified for pod pair, choose one of: [web proxy] or "
                "one of the init containers: [setup]"
            ),
        ),
        (LOG.replace("shop", "none"), 404, 'pods "none" not found'),
        (
            f"{LOG}?tailLines=-1",
            422,
            (
                'PodLogOptions "shop" is invalid: tailLines: Invalid value: -1: must be greater '
                "than or equal to 0"
            ),
        ),
        (
            f"{LOG}?limitBytes=0&sinceSeconds=0",
            422,
            (
                'PodLogOptions "shop" is invalid: [limitBytes: Invalid value: 0: must be greater '
                "than 0, sinceSeconds: Invalid value: 0: must be greater than 0]"
            ),
        ),
        (
            f"{LOG}?sinceSeconds=1&sinceTime=2026-11-22T23:00:05Z",
            422,
            (
                'PodLogOptions "shop" is invalid: : Forbidden: at most one of `sinceTime` or '
                "`sinceSeconds` may be specified"
            ),
        ),
        (f"{LOG}?tailLines=all", 400, 'strconv.ParseInt: parsing "all": invalid syntax'),
        (
            f"{LOG}?sinceTime=now",
            400,
            'parsing time "now" as "2006-01-02T15:04:05Z07:00": cannot parse "now" as "2006"',
        ),
        (
            f"{LOG}?stream=Stdout",
            501,
            "the lab does not model the parameter stream=Stdout of pods/log",
        ),
    ],
)
async def test_refusals(lab: LoggingLab, path: str, code: int, message: str) -> None:
    """Options that cannot be are refused as a server words it."""
    reply = await lab.call("GET", path)
    assert (reply.code, reply.message) == (code, message)


async def test_a_log_cannot_be_written(lab: LoggingLab) -> None:
    """The log of a pod knows GET only."""
    assert (await lab.call("POST", LOG, {})).code == 405


async def test_following(lab: LoggingLab) -> None:
    """A follower gets the tail, then each line as it is written, until its bytes are used up."""
    query = "?follow=true&tailLines=1&limitBytes=20"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with asyncio.timeout(5), lab.http.get(LOG + query, headers=headers) as response:
        assert await response.content.readline() == b"line 5\n"
        lab.logs.write("pets", "shop", "shop", "line 6")
        assert await response.content.readline() == b"line 6\n"
        lab.logs.write("pets", "shop", "other", "not this one")
        lab.logs.write("pets", "shop", "shop", "line 7")
        assert await response.content.read() == b"line 7"


async def test_followers_end_with_the_server() -> None:
    """Closing the logs ends who follows, and a slow one has missed what is no longer kept."""
    logs = Logs(lambda: NOW)
    following = logs.follow("pets", "shop", "shop")
    first = asyncio.ensure_future(anext(following))
    await asyncio.sleep(0)
    for number in range(LINES_KEPT + 10):
        logs.write("pets", "shop", "shop", str(number))
    assert (await first).text == "10"
    assert len(logs.lines("pets", "shop", "shop")) == LINES_KEPT
    logs.close()
    assert len([line async for line in following]) == LINES_KEPT - 1


def said(bench: Bench, app: str, container: str = "", namespace: str = "pets") -> list[str]:
    """The lines of the first pod of an app."""
    lines = bench.net.logs.lines(namespace, bench.pod(app, namespace), container or app)
    return [line.text for line in lines]


async def order(bench: Bench) -> int:
    """Place an order as a customer; its code."""
    front = bench.net.directory.backend("pets", "store-front")
    assert bench.net.shop
    assert front
    work = bench.net.shop.serve(
        front, "POST", "/api/orders", b'{"id":1}', "application/json", client="198.51.100.10"
    )
    page, _ = await bench.clock.run(work)
    return page.status


async def test_an_order_shows_in_the_logs() -> None:
    """The storefront logs the access; order-service the request, the message and the answer."""
    bench = Bench()
    assert await order(bench) == 201
    assert re.fullmatch(
        r'198\.51\.100\.10 - - \[12/Jan/1970:13:46:40 \+0000\] "POST /api/orders HTTP/1\.1" 201 0 '
        r'"-" "Mozilla/5\.0 .*" "-"',
        said(bench, "store-front")[-1],
    )
    arrived, sent, answered = said(bench, "order-service")[-3:]
    assert json.loads(arrived)["req"] == {
        "method": "POST",
        "url": "/",
        "hostname": "order-service:3000",
        "remoteAddress": bench.net.directory.backend("pets", "store-front").ip,
    }
    assert sent == 'sending message {"id":1} to orders on rabbitmq using local auth credentials'
    assert json.loads(answered)["res"] == {"statusCode": 201}
    assert json.loads(answered)["msg"] == "request completed"


async def test_a_denied_backend_shows_in_the_logs() -> None:
    """The storefront says which request timed out; the backend it did not reach says nothing."""
    bench = Bench()
    await bench.apply("allow-order-service-traffic", ingress=NOBODY)
    before = said(bench, "order-service")
    assert await order(bench) == 504
    error, access = said(bench, "store-front")[-2:]
    assert " [error] 29#29: *1 upstream timed out (110: Operation timed out) while" in error
    assert 'request: "POST /api/orders HTTP/1.1"' in error
    assert '"POST /api/orders HTTP/1.1" 504 ' in access
    assert said(bench, "order-service") == before


async def test_the_agent_says_what_it_does_not_import() -> None:
    """An invalid policy and an empty one are warnings in the agent's log, others are imported."""
    bench = Bench()
    await bench.apply("allow-order-service-traffic", ingress=NOBODY)
    ports = [{"port": "99999", "protocol": "TCP"}]
    await bench.apply("allow-order-service-traffic", ingress=[{"toPorts": [{"ports": ports}]}])
    policy = bench.policy("allow-order-service-traffic")
    del policy["spec"]
    bench.store.put(policy)
    bench.store.put({**policy, "status": {"conditions": []}})
    lines = said(bench, "cilium", "cilium-agent", "kube-system")[-3:]
    where = "ciliumNetworkPolicyName=allow-order-service-traffic k8sApiVersion=cilium.io/v2"
    imported, invalid, empty = lines
    assert 'level=info msg="Imported CiliumNetworkPolicy"' in imported
    assert all(where in line for line in lines)
    assert 'level=warn msg="Unable to add CiliumNetworkPolicy"' in invalid
    assert "99999" in invalid
    assert empty.endswith('error="empty policy"')


def test_kubectl_reads_logs(
    lab_process: dict[str, Any],
    kubectl_path: str,  # noqa: F811
) -> None:
    """`kubectl logs` shows a real request, follows, and is refused what never was."""
    lab = lab_process["kubeconfig"]
    url = lab_process["env"]["ACNS_CHAOS_STOREFRONT_URL"] + "/health"
    request = urllib.request.Request(url, headers={"User-Agent": "the-test/1.0"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10):
        pass
    where = ("-n", "pets", "logs")
    done = run_kubectl(kubectl_path, lab, *where, "deploy/store-front", "--since=1m")
    assert done.returncode == 0, done.stderr
    assert '"GET /health HTTP/1.1" 200 ' in done.stdout
    assert '"the-test/1.0"' in done.stdout
    done = run_kubectl(kubectl_path, lab, *where, "deploy/order-service", "-c", "order-service")
    assert json.loads(done.stdout.splitlines()[0])["msg"].startswith("Server listening at")
    done = run_kubectl(kubectl_path, lab, *where, "rabbitmq-0", "--tail=1", "--timestamps")
    assert re.match(r"\d{4}-\d\d-\d\dT[0-9:.]+Z \d{4}-", done.stdout)
    done = run_kubectl(kubectl_path, lab, *where, "rabbitmq-0", "--previous")
    assert done.returncode == 1
    assert done.stderr == (
        'Error from server (BadRequest): previous terminated container "rabbitmq" in pod '
        '"rabbitmq-0" not found\n'
    )
    done = run_kubectl(kubectl_path, lab, "-n", "kube-system", "logs", "ds/cilium", "--tail=-1")
    assert "allow-store-front-traffic" in done.stdout


def test_kubectl_follows(
    lab_process: dict[str, Any],
    kubectl_path: str,  # noqa: F811
) -> None:
    """`kubectl logs -f` prints a customer's request when it happens."""
    command = [kubectl_path, "--kubeconfig", lab_process["kubeconfig"], "-n", "pets", "logs"]
    command += ["-f", "--tail=0", "deploy/store-front"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        late = threading.Timer(15, process.kill)
        late.start()
        line = process.stdout.readline()
        process.terminate()
        late.cancel()
    # Customers look at pages, and now and then they order.
    assert re.search(r'"(GET|POST) /', line)
