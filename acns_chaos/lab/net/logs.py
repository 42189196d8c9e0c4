"""What the programs of the world write to their logs, in the words of the real ones.

Only wording and who says it; keeping and giving out is in ``api.pods.log``. The kubelet's own
probes, which fill a real storefront's log, are left out, and so is everything below level info.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.objects import Change, Objects, Pod
from acns_chaos.lab.net.shop.pages import Page
from acns_chaos.lab.world import Shop as ShopServices
from acns_chaos.policy.validity import problems

Write = Callable[[str, str, str, str], None]
"""Takes namespace, pod, container and a line."""

# The address that Azure's load balancers probe from.
PROBE_ADDRESS = "168.63.129.16"
_KINDS = ("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy")
_Key = tuple[str, str, str]
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
# Why nginx could not use a backend, by the error page that it then shows.
_UPSTREAM = {
    502: "connect() failed (111: Connection refused) while connecting to upstream",
    504: "upstream timed out (110: Operation timed out) while connecting to upstream",
}


def say(write: Write, pod: Pod, line: str) -> None:
    """The first container of a pod writes a line."""
    container = pod.raw["spec"]["containers"][0]["name"]
    write(pod.namespace, pod.name, container, line)


def say_started(write: Write, directory: Directory, at: float) -> None:
    """Every pod writes what its program says when it starts.

    Args:
        write: where to.
        directory: the pods.
        at: seconds since 1970.
    """
    for pod in directory.pods():
        say_begun(write, pod, at)


def say_begun(write: Write, pod: Pod, at: float) -> None:
    """One pod writes what its program says when it starts; arguments as of `say_started`."""
    labels = pod.raw["metadata"].get("labels") or {}
    moment = datetime.fromtimestamp(at, UTC)
    for line in _start_lines(labels.get("app") or labels.get("k8s-app"), pod.name, moment):
        say(write, pod, line)


def _start_lines(app: str | None, host: str, at: datetime) -> list[str]:
    shown = at.strftime("%Y-%m-%d %H:%M:%S.%f+00:00")
    zulu = _zulu(at)
    match app:
        case "store-front":
            notice = f"{at:%Y/%m/%d %H:%M:%S} [notice] 1#1:"
            return [f"{notice} using the epoll event method", f"{notice} start worker processes"]
        case "order-service":
            return [_pino(at.timestamp(), host, msg="Server listening at http://0.0.0.0:3000")]
        case "product-service":
            return ["Listening on http://0.0.0.0:3002"]
        case "rabbitmq":
            return [
                f"{shown} [info] <0.254.0>  Starting RabbitMQ 4.3.2",
                f"{shown} [info] <0.672.0> started TCP listener on [::]:5672",
                f"{shown} [info] <0.9.0> Time to start RabbitMQ: 4213 ms",
            ]
        case "hubble-relay":
            return [
                f'time={zulu} level=info msg="Starting gRPC health server..." addr=:4222',
                f'time={zulu} level=info msg="Starting gRPC server..." options="{{:4245}}"',
            ]
        case "cilium":
            return [
                f'time={zulu} level=info msg="Cilium 1.19.4"',
                f'time={zulu} level=info msg="Initializing daemon"',
                f'time={zulu} level=info msg="Daemon initialization completed"',
            ]
    return []


class ShopLog:
    """The log lines of the shop's programs.

    Args:
        write: where to.
        directory: the pods.
        services: their names.
        clock: for the time of a line.
    """

    def __init__(
        self, write: Write, directory: Directory, services: ShopServices, clock: Clock
    ) -> None:
        self._write = write
        self._directory = directory
        self._services = services
        self._clock = clock
        self._orders = 0

    def visited(
        self, front: Pod, client: str, method: str, path: str, page: Page, agent: str = ""
    ) -> None:
        """The storefront's nginx has answered.

        Args:
            front: its pod.
            client: the address that asked; of a load balancer's probe nothing is said, which
                in a cluster only connects.
            method: of the request.
            path: of the URL.
            page: the answer.
            agent: what the client calls itself, "" for a browser.
        """
        if client == PROBE_ADDRESS:
            return
        at = datetime.fromtimestamp(self._clock.now(), UTC)
        request = f'"{method} {_quoted(path)} HTTP/1.1"'
        if page.status in _UPSTREAM:
            say(
                self._write,
                front,
                f"{at:%Y/%m/%d %H:%M:%S} [error] 29#29: *1 {_UPSTREAM[page.status]}, "
                f"client: {client}, server: localhost, request: {request}",
            )
        size = len(page.body.encode())
        say(
            self._write,
            front,
            f"{client} - - [{at:%d/%b/%Y:%H:%M:%S} +0000] {request} {page.status} {size} "
            f'"-" "{_quoted(agent or _BROWSER)}" "-"',
        )

    def products(self, client: str, method: str, path: str, page: Page) -> None:
        """product-service has answered."""
        pod = self._directory.backend(self._services.namespace, self._services.products)
        if pod is None:
            return
        at = datetime.fromtimestamp(self._clock.now(), UTC)
        size = len(page.body.encode())
        say(
            self._write,
            pod,
            f"[{at:%Y-%m-%dT%H:%M:%SZ} INFO  actix_web::middleware::logger] {client} "
            f'"{method} {_quoted(path)} HTTP/1.0" {page.status} {size} "-" "-" 0.000213',
        )

    def order_arrived(self, orders: Pod, client: str, method: str, path: str) -> str:
        """order-service has a request; returns the number that its later lines carry."""
        self._orders += 1
        number = f"req-{self._orders:x}"
        request = {
            "method": method,
            "url": path,
            "hostname": f"{self._services.orders}:3000",
            "remoteAddress": client,
        }
        line = _pino(
            self._clock.now(), orders.name, reqId=number, req=request, msg="incoming request"
        )
        say(self._write, orders, line)
        return number

    def order_sent(self, orders: Pod, body: bytes) -> None:
        """order-service hands an order over; said before it is known whether that works."""
        text = body.decode(errors="replace")[:512].replace("\n", " ")
        queue = self._services.queue
        line = f"sending message {text} to orders on {queue} using local auth credentials"
        say(self._write, orders, line)

    def order_answered(self, orders: Pod, number: str, page: Page, begun: float) -> None:
        """order-service has answered the request of that number, which began then."""
        now = self._clock.now()
        line = _pino(
            now,
            orders.name,
            reqId=number,
            res={"statusCode": page.status},
            responseTime=round((now - begun) * 1000, 3),
            msg="request completed",
        )
        say(self._write, orders, line)


class AgentLog:
    """What the agents say about policies: imported, or why not.

    Args:
        store: where policies live.
        directory: the agents' pods.
        write: where to.
        clock: for the time of a line.
    """

    def __init__(self, store: Objects, directory: Directory, write: Write, clock: Clock) -> None:
        self._directory = directory
        self._write = write
        self._clock = clock
        self._seen: dict[_Key, Any] = {}
        for kind in _KINDS:
            for policy in store.list(kind):
                self._judge(_key(policy), policy)
        store.on_change(self._changed)

    def _changed(self, change: Change) -> None:
        if change.kind not in _KINDS:
            return
        key = _key(change.object)
        if change.type == "DELETED":
            self._seen.pop(key, None)
            self._say("info", "Deleted CiliumNetworkPolicy", key)
        else:
            self._judge(key, change.object)

    def _judge(self, key: _Key, policy: dict[str, Any]) -> None:
        rules = policy.get("spec"), policy.get("specs")
        if self._seen.get(key) == rules:
            return  # only its status or its labels changed
        self._seen[key] = rules
        if not any(rules):
            self._say("warn", "Unable to add CiliumNetworkPolicy", key, "empty policy")
        elif found := problems(policy):
            self._say("warn", "Unable to add CiliumNetworkPolicy", key, found[0])
        else:
            self._say("info", "Imported CiliumNetworkPolicy", key)

    def _say(self, level: str, text: str, key: _Key, error: str = "") -> None:
        at = _zulu(datetime.fromtimestamp(self._clock.now(), UTC))
        why = f" error={json.dumps(error)}" if error else ""
        line = (
            f'time={at} level={level} msg="{text}" ciliumNetworkPolicyName={key[2]} '
            f"k8sApiVersion=cilium.io/v2 k8sNamespace={key[1]}{why}"
        )
        for pod in self._directory.pods():
            if (pod.raw["metadata"].get("labels") or {}).get("k8s-app") == "cilium":
                say(self._write, pod, line)


def _key(policy: dict[str, Any]) -> _Key:
    metadata = policy["metadata"]
    return policy["kind"], metadata.get("namespace", ""), metadata["name"]


def _pino(at: float, host: str, **fields: Any) -> str:
    head = {"level": 30, "time": int(at * 1000), "pid": 1, "hostname": host}
    return json.dumps({**head, **fields}, separators=(",", ":"))


def _zulu(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _quoted(text: str) -> str:
    """As nginx writes what a client sent: one line, printable."""
    return "".join(c if 32 <= ord(c) < 127 and c not in '"\\' else f"\\x{ord(c):02X}" for c in text)
