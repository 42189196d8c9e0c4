"""Names, as a pod resolves them: musl's and glibc's resolvers, cluster DNS, Cilium's DNS proxy.

Both ask for A and AAAA together and walk the search list when a name has fewer dots than `ndots`.
They differ in what stops them. musl goes on only after "no such name", and gives up for good after
5 s without a usable answer; REFUSED is not usable to it. glibc asks twice, 5 s each; after silence
or REFUSED it leaves the search list and tries the name as it is, so silence costs 20 s and REFUSED
nothing. A tool's own time-out changes neither. Source: captures from Cilium 1.19.4 with busybox on
musl and curl on glibc.

Not modelled: DNS over TCP, more than one name server, questions other than for addresses.
"""

from dataclasses import dataclass, replace

from acns_chaos.lab.net.agents.enforcement import Enforcement
from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.connections import Ports
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.events import Event, Query, Wire
from acns_chaos.lab.net.names.zone import Zone
from acns_chaos.lab.net.objects import Pod, Target
from acns_chaos.policy import Endpoint, Verdict

NDOTS = 5
MUSL, GLIBC = "musl", "glibc"
# Two attempts: musl's share 5 s, glibc's have 5 s each.
ATTEMPT_SECONDS = {MUSL: (2.5, 2.5), GLIBC: (5.0, 5.0)}
ANSWER_SECONDS = 0.002
# CoreDNS caches what it forwards for at most this long, and says so.
TTL_SECONDS = 30
NO_ERROR, NO_SUCH_NAME, REFUSED = 0, 3, 5


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one complete name.

    Attributes:
        name: the name asked for.
        rcode: 0, 3 (no such name), 5 (refused), None when nothing came.
        addresses: IPv4 addresses.
    """

    name: str
    rcode: int | None
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Question:
    """One name on its way to one server."""

    pod: Pod
    name: str
    server: Endpoint
    answers: bool
    source_port: int


class Resolver:
    """Looks names up from inside pods.

    Args:
        zone: the names.
        directory: who serves them.
        enforcement: what policy says about the queries.
        wire: where they are counted.
        clock: for time-outs.
        ports: source ports of the queries.
    """

    def __init__(
        self,
        zone: Zone,
        directory: Directory,
        enforcement: Enforcement,
        wire: Wire,
        clock: Clock,
        ports: Ports,
    ) -> None:
        self._zone = zone
        self._directory = directory
        self._enforcement = enforcement
        self._wire = wire
        self._clock = clock
        self._ports = ports

    async def lookup(self, pod: Pod, name: str, *, libc: str = MUSL) -> tuple[str, ...]:
        """What getaddrinfo gives a program in the pod.

        Args:
            pod: who asks.
            name: as the program wrote it; an IPv4 address stands for itself, and the names in the
                pod's /etc/hosts need no server.
            libc: "musl" or "glibc".

        Returns:
            Addresses; empty when musl would say "bad address".
        """
        if is_address(name):
            return (name,)
        if name.rstrip(".") in ("localhost", pod.name):
            return ("127.0.0.1" if name.startswith("localhost") else pod.ip,)
        plain = name.rstrip(".")
        asked = False
        for candidate in self.candidates(pod, name, libc=libc):
            answer = await self.ask(pod, candidate, libc=libc)
            asked = asked or candidate == plain
            if answer.addresses:
                return answer.addresses
            if answer.rcode == NO_SUCH_NAME:
                continue
            if libc == MUSL:
                return ()
            if answer.rcode != NO_ERROR and candidate != plain:
                # The search list ends here, and the name as it is comes last if it has not yet.
                return () if asked else (await self.ask(pod, plain, libc=libc)).addresses
        return ()

    def candidates(self, pod: Pod, name: str, *, libc: str = MUSL) -> list[str]:
        """The complete names to ask for, in order.

        A name with as many dots as `ndots` is tried as it is; musl leaves it at that.
        """
        if name.endswith("."):
            return [name.rstrip(".")]
        listed = [f"{name}.{domain}" for domain in self._zone.search_list(pod.namespace)]
        if name.count(".") < NDOTS:
            return [*listed, name]
        return [name, *listed] if libc == GLIBC else [name]

    async def ask(
        self,
        pod: Pod,
        name: str,
        *,
        libc: str = MUSL,
        retry_refused: bool = True,
        server: str = "",
    ) -> Answer:
        """Ask a DNS server for one complete name, A and AAAA together.

        Args:
            pod: who asks.
            name: complete, without the trailing dot.
            libc: whose patience.
            retry_refused: take REFUSED for no answer, as both libraries do; a program that speaks
                DNS by itself takes it for one.
            server: address of the server, "" for the cluster's own.
        """
        question = self._question(pod, name, server)
        answer = Answer(name, None)
        for wait in ATTEMPT_SECONDS[libc]:
            answer = await self._put(question)
            if answer.rcode is not None and not (answer.rcode == REFUSED and retry_refused):
                return answer
            if answer.rcode is None or libc == MUSL:
                await self._clock.sleep(wait)
        # musl has waited for something better than a refusal, glibc has asked once more.
        return answer if libc == GLIBC else replace(answer, rcode=None)

    async def _put(self, question: _Question) -> Answer:
        """Send the two packets of a question, and wait for the answers if there are any."""
        pod, name = question.pod, question.name
        here, there = self._enforcement.nodes(pod.endpoint, question.server)
        verdict = self._enforcement.verdict(
            pod.endpoint, question.server, 53, "UDP", dns_query=name
        )
        answer = self._answer(question, verdict, here)
        for qtype in ("A", "AAAA"):
            addresses = answer.addresses if qtype == "A" else ()
            self._wire.record(
                Event(
                    at=self._clock.now(),
                    source=pod.endpoint,
                    destination=question.server,
                    port=53,
                    protocol="UDP",
                    verdict=verdict,
                    flags="",
                    size=60 + len(name),
                    query=Query(
                        name,
                        qtype,
                        answer.rcode,
                        len(addresses),
                        ips=addresses,
                        ttl=TTL_SECONDS if addresses else 0,
                    ),
                    source_port=question.source_port,
                    source_node=here,
                    destination_node=there,
                )
            )
        if answer.rcode is not None:
            await self._clock.sleep(ANSWER_SECONDS)
            if verdict.egress.redirected and self._enforcement.learns(here):
                self._directory.learn(here, name, answer.addresses, TTL_SECONDS)
        return answer

    def _question(self, pod: Pod, name: str, server: str) -> _Question:
        target = self._server(pod, server)
        zone = self._directory.service("kube-system", "kube-dns")
        names = {p.endpoint.name for p in self._directory.backends(zone)} if zone else set()
        serves = target.answer == "open" and target.endpoint.name in names
        return _Question(pod, name, target.endpoint, serves, self._ports.next())

    def _server(self, pod: Pod, server: str) -> Target:
        address = server or self._zone.nameserver()
        return self._directory.target(address, 53, "UDP", viewpoint=pod.node)

    def _answer(self, question: _Question, verdict: Verdict, node: str) -> Answer:
        name = question.name
        if verdict.egress.redirected and not self._enforcement.resolves(node):
            return Answer(name, None)
        if verdict.l7 == "DENIED":
            return Answer(name, self._enforcement.settings(node).refusal)
        if verdict.verdict != "ALLOWED" or not question.answers:
            return Answer(name, None)
        addresses = self._zone.addresses(name)
        if addresses is None:
            return Answer(name, NO_SUCH_NAME)
        return Answer(name, NO_ERROR, addresses)


def is_address(text: str) -> bool:
    """Whether the text is an IPv4 address in four decimal numbers."""
    parts = text.split(".")
    return len(parts) == 4 and all(p.isascii() and p.isdigit() and int(p) < 256 for p in parts)
