"""Readings of what a workload reaches outside: by name with a lookup, by an address it knows.

An egress policy can stop either the lookup, in the DNS proxy, or the connection; a client that has
the address already meets only the second. So they are told apart, and read apart.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from acns_chaos.cluster.pods import Ran, connected_by
from acns_chaos.cluster.remembered import Learned, Remembered
from acns_chaos.errors import ApiError
from acns_chaos.evidence.places import Asker
from acns_chaos.evidence.readings import DENIED, OPEN, UNKNOWN, Reading, reading

__all__ = ["CACHED", "NEW", "read_address", "read_url"]

# How the address is found.
NEW, CACHED = "new", "cached"

# What became of a lookup.
REFUSED = "refused"
SEARCH_LIST = "search list refused"
SILENCE = "silence"
NO_SUCH_NAME = "no such name"
ANSWERED = "answered"
UNTOLD = "unknown"
# A denied lookup ends after this long on musl, 20 s on glibc; no such name after 0.1 s (reference
# captures, "What a client sees"). So what takes longer was no answer that could be used.
USABLE = 4.0
# nslookup's own patience with a server that is silent.
LOOKUP_TIMEOUT = 10.0
_EXPLAINED = {
    REFUSED: "the lookup was refused, as the DNS proxy refuses names that no rule allows",
    SEARCH_LIST: "the name is allowed and its form from the search list is refused, where musl "
    "gives up: allow that form, too, or write the name with a dot at its end",
    SILENCE: "the lookup met silence: its packets are dropped, or the DNS server is down",
    NO_SUCH_NAME: "the DNS server knows no such name, or the agent answers so for names it denies",
    ANSWERED: "the name was found when it was asked for once more",
}


def read_url(
    asker: Asker,
    remembered: Remembered,
    namespace: str,
    workload: str,
    url: str,
    expect: str,
    timeout: float,
) -> Reading:
    """Fetch a URL's headers in a pod, its name looked up.

    Args:
        asker: runs the command.
        remembered: of the run; learns the address of what is reached.
        namespace: of the workload.
        workload: whose pod.
        url: absolute.
        expect: OPEN or DENIED.
        timeout: seconds for wget, its name lookup included.

    Returns:
        OPEN when wget got an answer, even an HTTP error: something answered. DENIED when the
        connection met silence, or the DNS proxy refused the lookup. UNKNOWN otherwise: "bad
        address" alone does not tell why, and a name that does not exist is nobody's denial. In the
        evidence `failed_at` is "lookup" or "connection", and `lookup` says what became of it.
    """
    what = f"{url} from {namespace}/{workload}"
    command = ["wget", "--spider", "-T", f"{max(1, round(timeout))}", url]
    try:
        ran = asker.run(command, timeout)
    except ApiError as error:
        return reading(UNKNOWN, what, str(error), None, expect, {"command": command})
    evidence = {**asker.evidence(command, ran), "resolution": NEW}
    said = f"{' '.join(command)}: {_last(ran)} ({ran.seconds * 1000:.0f} ms)"
    if _lookup_failed(ran):
        found = _why(asker, url, namespace, ran)
        state = DENIED if found in (REFUSED, SEARCH_LIST) else UNKNOWN
        evidence |= {"failed_at": "lookup", "lookup": found}
        said = f"{said}; {_EXPLAINED.get(found) or _by_time(ran)}"
        return reading(state, what, said, state == expect, expect, evidence, seconds=ran.seconds)
    state = _url_state(ran)
    evidence["failed_at"] = "connection" if state == DENIED else ""
    if state == OPEN and (learned := _learned(ran, url, asker)):
        remembered.learn(namespace, workload, _host(url), learned)
        evidence["address"] = learned.address
    return reading(state, what, said, state == expect, expect, evidence, seconds=ran.seconds)


def read_address(
    asker: Asker,
    remembered: Remembered,
    namespace: str,
    workload: str,
    url: str,
    expect: str,
    timeout: float,
) -> Reading:
    """Connect to the address that an earlier reading of this run learned, without a lookup.

    Args:
        asker: runs the command.
        remembered: of the run; knows the address.
        namespace: of the workload.
        workload: whose pod.
        url: absolute, as it was asked for by name.
        expect: OPEN or DENIED.
        timeout: whole seconds until the connection counts as silent.

    Returns:
        OPEN when the connection was made or refused, DENIED when it met silence, UNKNOWN when
        nothing was learned before, or by a pod that is gone: then nothing is cached.
    """
    host, wait = _host(url), max(1, round(timeout))
    what = f"the known address of {host} from {namespace}/{workload}"
    known = remembered.learned(namespace, workload, host)
    if known is None:
        why = (
            f"{namespace}/{workload} has reached {host} by no lookup in this run, so no address is "
            f'known: ask once with lookup "{NEW}" while it is open'
        )
        return reading(UNKNOWN, what, why, None, expect, {"resolution": CACHED})
    command = ["nc", "-zv", f"-w{wait}", known.address, str(known.port)]
    try:
        ran = asker.run(command, wait)
    except ApiError as error:
        return reading(UNKNOWN, what, str(error), None, expect, {"command": command})
    evidence = {
        **asker.evidence(command, ran),
        "resolution": CACHED,
        "address": known.address,
        "learned": known.at,
    }
    connected = connected_by(ran)
    if connected is None:
        why = f"cannot tell: {_last(ran)}"
        return reading(UNKNOWN, what, why, None, expect, evidence)
    if asker.place is None or asker.place.pod != known.pod:
        why = f"the address was learned in pod {known.pod}, which does not answer any more"
        return reading(UNKNOWN, what, why, None, expect, evidence)
    state = OPEN if connected else DENIED
    evidence["failed_at"] = "" if connected else "connection"
    said = f"{' '.join(command)}: {_last(ran)} ({ran.seconds * 1000:.0f} ms)"
    return reading(state, what, said, state == expect, expect, evidence, seconds=ran.seconds)


def _url_state(ran: Ran) -> str:
    if ran.code == 0 or "server returned error" in ran.output:
        return OPEN
    return DENIED if "timed out" in ran.output else UNKNOWN


def _lookup_failed(ran: Ran) -> bool:
    """Whether wget never got an address; one that is still looking has not connected to any."""
    return "bad address" in ran.output or (ran.code is None and "Connecting to" not in ran.output)


def _why(asker: Asker, url: str, namespace: str, ran: Ran) -> str:
    """Ask again with a tool that says what the DNS server answered."""
    host = _host(url)
    found = _looked_up(asker, host)
    if found == ANSWERED and host.count(".") and not host.endswith(".") and _took_long(ran):
        # musl asks for the forms of the search list first, and takes a refusal for the end.
        searched = _looked_up(asker, f"{host}.{namespace}.svc.cluster.local")
        return SEARCH_LIST if searched == REFUSED else found
    return found


def _looked_up(asker: Asker, name: str) -> str:
    try:
        ran = asker.run(["nslookup", name], LOOKUP_TIMEOUT)
    except ApiError:
        return UNTOLD
    words = (("REFUSED", REFUSED), ("NXDOMAIN", NO_SUCH_NAME), ("timed out", SILENCE))
    told = next((found for word, found in words if word in ran.output), UNTOLD)
    return ANSWERED if ran.code == 0 else told


def _by_time(ran: Ran) -> str:
    """What the time of a failed lookup says, where no tool says more."""
    if _took_long(ran):
        return "no usable answer to the lookup: it was refused, dropped, or met a silent DNS server"
    return "the lookup was answered at once: no such name, or an agent that says so"


def _took_long(ran: Ran) -> bool:
    return ran.code is None or ran.seconds >= USABLE


def _learned(ran: Ran, url: str, asker: Asker) -> Learned | None:
    """Read the address that wget says it connects to."""
    line = re.search(rf"Connecting to {re.escape(urlsplit(url).netloc)} \((.+):(\d+)\)", ran.output)
    if line is None or asker.place is None:
        return None
    return Learned(line[1].strip("[]"), int(line[2]), asker.place.pod, _now())


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _last(ran: Ran) -> str:
    lines: Sequence[str] = ran.output.strip().splitlines()
    if ran.code is None:
        return f"did not end within {ran.seconds:.0f} s"
    return lines[-1] if lines else "no output"
