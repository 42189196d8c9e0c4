"""Names, as a pod on Alpine resolves them: musl's resolver, cluster DNS, Cilium's DNS proxy.

musl asks for A and AAAA together, walks the search list when a name has fewer dots than `ndots`,
goes on after "no such name", and gives up for good after 5 s without a usable answer; an answer
REFUSED is not usable to it. Whatever the tool's own time-out says, a lookup that policy stops
costs those 5 s. Source: captures from Cilium 1.19.4 with busybox on musl.
"""

import itertools
from dataclasses import dataclass

from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.enforcement import Enforcement
from acns_chaos.lab.net.events import Event, Query, Wire
from acns_chaos.lab.net.objects import Pod
from acns_chaos.policy import Endpoint, Verdict

NDOTS = 5
# Two attempts, 5 s in all.
ATTEMPT_SECONDS = (2.5, 2.5)
ANSWER_SECONDS = 0.002
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


class Resolver:
    """Looks names up from inside pods.

    Args:
        directory: the zone, and who serves it.
        enforcement: what policy says about the queries.
        wire: where they are counted.
        clock: for time-outs.
    """

    def __init__(
        self, directory: Directory, enforcement: Enforcement, wire: Wire, clock: Clock
    ) -> None:
        self._directory = directory
        self._enforcement = enforcement
        self._wire = wire
        self._clock = clock
        self._turn = itertools.count()

    async def lookup(self, pod: Pod, name: str) -> tuple[str, ...]:
        """What getaddrinfo gives a program in the pod.

        Args:
            pod: who asks.
            name: as the program wrote it; an IPv4 address stands for itself.

        Returns:
            Addresses; empty when musl would say "bad address".
        """
        if is_address(name):
            return (name,)
        for candidate in self.candidates(pod, name):
            answer = await self.ask(pod, candidate)
            if answer.addresses:
                return answer.addresses
            if answer.rcode not in (NO_ERROR, NO_SUCH_NAME):
                return ()
        return ()

    def candidates(self, pod: Pod, name: str) -> list[str]:
        """The complete names that musl asks for, in order."""
        if name.endswith(".") or name.count(".") >= NDOTS:
            return [name.rstrip(".")]
        return [
            *(f"{name}.{domain}" for domain in self._directory.search_list(pod.namespace)),
            name,
        ]

    async def ask(self, pod: Pod, name: str, *, retry_refused: bool = True) -> Answer:
        """Ask the cluster's DNS for one complete name, A and AAAA together.

        Args:
            pod: who asks.
            name: complete, without the trailing dot.
            retry_refused: take REFUSED for no answer, as musl does.
        """
        for wait in ATTEMPT_SECONDS:
            server = self._server()
            verdict = self._enforcement.verdict(pod.endpoint, server, 53, "UDP", dns_query=name)
            answer = self._answer(name, server, verdict)
            for qtype in ("A", "AAAA"):
                self._count(pod, server, verdict, answer, qtype)
            if answer.rcode is not None and not (answer.rcode == REFUSED and retry_refused):
                await self._clock.sleep(ANSWER_SECONDS)
                if verdict.egress.redirected and answer.addresses:
                    self._directory.learn(name, answer.addresses)
                return answer
            await self._clock.sleep(wait)
        return Answer(name, None)

    def _server(self) -> Endpoint:
        service = self._directory.service("kube-system", "kube-dns")
        pods = self._directory.backends(service) if service else []
        if not pods:
            return Endpoint.outside(self._directory.nameserver())
        return pods[next(self._turn) % len(pods)].endpoint

    def _answer(self, name: str, server: Endpoint, verdict: Verdict) -> Answer:
        if verdict.l7 == "DENIED":
            return Answer(name, REFUSED)
        if verdict.verdict != "ALLOWED" or server.kind != "pod":
            return Answer(name, None)
        addresses = self._directory.addresses(name)
        if addresses is None:
            return Answer(name, NO_SUCH_NAME)
        return Answer(name, NO_ERROR, addresses)

    def _count(
        self, pod: Pod, server: Endpoint, verdict: Verdict, answer: Answer, qtype: str
    ) -> None:
        addresses = len(answer.addresses) if qtype == "A" else 0
        self._wire.record(
            Event(
                at=self._clock.now(),
                source=pod.endpoint,
                destination=server,
                port=53,
                protocol="UDP",
                verdict=verdict,
                flags="",
                size=60 + len(answer.name),
                query=Query(answer.name, qtype, answer.rcode, addresses),
            )
        )


def is_address(text: str) -> bool:
    """Whether the text is an IPv4 address in four decimal numbers."""
    parts = text.split(".")
    return len(parts) == 4 and all(p.isascii() and p.isdigit() and int(p) < 256 for p in parts)
