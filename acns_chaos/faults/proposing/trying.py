"""Each flow tried once, as the probes of an experiment will: nothing rests on the engine alone.

A denial is silence and a drop that was counted, as for `read_connection`. Silences are collected
first, several at once, and their drops awaited together, because a scrape interval for each would
take minutes.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.pods import (
    Place,
    Ran,
    connected_by,
    lacks_tool,
    place_in,
    pods_of,
    run_in,
    service_address,
)
from acns_chaos.cluster.prometheus import Prometheus, drops_of_workload
from acns_chaos.cluster.storefront import ask as ask_shop
from acns_chaos.cluster.storefront import storefront_url
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError
from acns_chaos.faults.proposing.asks import CLOSED, CUSTOMER, NAME, OPEN, STRANGER, Ask
from acns_chaos.faults.proposing.outline import BY_NAME
from acns_chaos.faults.proposing.roster import Roster
from acns_chaos.policy.model import EGRESS

__all__ = ["Trier", "by_name"]

# Flows tried at once: each denied one takes seconds.
AT_ONCE = 8
# Seconds: a connection, a page with its lookup, one that meets silence, the exec session beyond.
CONNECTION, PAGE, SILENCE, SLACK = 1, 5, 2, 10.0
_LONGEST = 160
End = tuple[str, str]


class Trier:
    """Tries flows and keeps what came of them.

    Args:
        api: the cluster.
        environ: the environment, for Prometheus and the shop's address.
        roster: where each flow would be dropped.
        evidence_timeout: seconds until a drop must show in Prometheus.

    Attributes:
        tried: each ask, to why it cannot be built on; "" where it did what was expected.
    """

    def __init__(
        self, api: Api, environ: Mapping[str, str], roster: Roster, evidence_timeout: float
    ) -> None:
        self._api = api
        self._environ = environ
        self._roster = roster
        self._timeout = evidence_timeout
        self._places: dict[str, Place] = {}
        self.tried: dict[Ask, str] = {}

    def require_prometheus(self) -> None:
        """See that drops can be counted at all.

        Raises:
            ApiError: Prometheus is not named, or does not answer.
        """
        self._prometheus().policy_drops(drops_of_workload("default", "", EGRESS))

    def try_all(
        self, expected: Mapping[Ask, str], progress: Callable[[Ask], None] = lambda _: None
    ) -> None:
        """Try what was not tried yet, but for strangers: no pod is made here.

        Args:
            expected: each ask, to OPEN or CLOSED.
            progress: called before each, from several threads.

        Raises:
            ApiError: Prometheus does not answer.
        """
        asked = [ask for ask in expected if ask not in self.tried]
        self.tried |= {ask: "" for ask in asked if ask.way == STRANGER}
        asked = [ask for ask in asked if ask.way != STRANGER]
        # First the counters, then the packets: a drop already counted must not count for one.
        denials = [ask for ask in asked if expected[ask] == CLOSED and ask.way != BY_NAME]
        before = {end: self._drops(end) for end in dict.fromkeys(map(self._end, denials))}

        def one(ask: Ask) -> str:
            progress(ask)
            try:
                return self._try(ask, expected[ask])
            except ApiError as error:
                return str(error)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            self.tried |= zip(asked, pool.map(one, asked), strict=True)
        self._await_drops([ask for ask in denials if not self.tried[ask]], before)

    def _try(self, ask: Ask, wanted: str) -> str:
        """Ask once; returns why it cannot be built on."""
        if ask.way == CUSTOMER:
            place, _, name = ask.target.partition("/")
            answer = ask_shop(
                "GET", f"{storefront_url(self._api, place, name, self._environ)}/", PAGE
            )
            if answer.silence:
                found: bool | None = False
            else:
                found = True if 200 <= answer.status < 400 else None
            return _compared(ask, wanted, found, answer.detail)
        if ask.way == NAME:
            wait = PAGE if wanted == OPEN else SILENCE
            ran = self._run(ask, ["wget", "--spider", "-T", str(wait), f"https://{ask.target}"])
            answered = ran.code == 0 or "server returned error" in ran.output
            found = True if answered else False if "timed out" in ran.output else None
            return _compared(ask, wanted, found, _last(ran))
        place, _, name = ask.target.partition("/")
        host = (
            f"{name}.{place}.svc.cluster.local"
            if ask.way == BY_NAME
            else service_address(self._api, place, name)
        )
        ran = self._run(ask, ["nc", "-zv", f"-w{CONNECTION}", host, str(ask.port)])
        return _compared(ask, wanted, connected_by(ran), _last(ran).replace(host, name))

    def _run(self, ask: Ask, command: list[str]) -> Ran:
        namespace, _, workload = ask.source.partition("/")
        if ask.source not in self._places:
            self._places[ask.source] = place_in(pods_of(self._api, namespace, workload)[0])
        place = self._places[ask.source]
        try:
            ran = run_in(self._api, namespace, place.pod, place.container, command, SLACK)
        except ApiError as error:
            # It is told in a file, where a pod's name has no place.
            raise ApiError(str(error).replace(place.pod, workload), error.status) from error
        if lacks_tool(ran):
            raise ApiError(f"the image of {ask.source} has no {command[0]}")
        return ran

    def _await_drops(self, silent: Iterable[Ask], before: Mapping[End, float]) -> None:
        """Take back the denials of which no drop is counted in time.

        One counter is for all of a workload: it must have moved once for each of its denials.
        """
        left: dict[End, list[Ask]] = {}
        for ask in silent:
            left.setdefault(self._end(ask), []).append(ask)

        def all_counted() -> bool:
            for end, asks in tuple(left.items()):
                if self._drops(end) >= before[end] + len(asks):
                    del left[end]
            return not left

        wait_until(all_counted, self._timeout, interval=0.5)
        for ask in chain.from_iterable(left.values()):
            self.tried[ask] = f"{ask} met silence, and no policy drop was counted for it"

    def _end(self, ask: Ask) -> End:
        """The end where the policies drop it: direction and "namespace/workload"."""
        return self._roster.dropped_at(self._roster.inventory.engine, ask)

    def _drops(self, end: End) -> float:
        way, owner = end
        namespace, _, workload = owner.partition("/")
        return self._prometheus().policy_drops(drops_of_workload(namespace, workload, way))

    def _prometheus(self) -> Prometheus:
        return Prometheus.from_environ(self._environ, self._api)


def _compared(ask: Ask, wanted: str, found: bool | None, said: str) -> str:
    if found is None:
        return f"{ask} tells nothing ({said})"
    if found is (wanted == OPEN):
        return ""
    return f"{ask} is {OPEN if found else CLOSED} now and the policies say {wanted} ({said})"


def _last(ran: Ran) -> str:
    """What a tool said last, as one line that moves no cursor."""
    lines = ran.output.strip().splitlines() or ["no output"]
    return "".join(sign if sign.isprintable() else " " for sign in lines[-1])[:_LONGEST]


def by_name(asks: Iterable[Ask]) -> list[Ask]:
    """The same Services asked by name."""
    return [Ask(ask.source, ask.target, ask.port, BY_NAME) for ask in asks]
