"""The kinds of misbehaviour as data: name, sentence, options. How each is done is elsewhere.

``docs/lab.md`` has the same table with a command for each; a test compares the two.
"""

from dataclasses import dataclass
from typing import Any

__all__ = ["KINDS", "SERVERS", "Kind", "Option"]

SERVERS = ("kubernetes", "prometheus", "shop")
_API = SERVERS[:1]


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a kind.

    Attributes:
        name: as in an order; the command line writes "_" as "-".
        type: "seconds", "number", "text", "policy" (NAMESPACE/NAME, or NAME for a clusterwide
            one), "patch" (a JSON patch) or "choice".
        help: what it means.
        default: what it is when it is not given; None for nothing.
        choices: the values of a choice.
        least: the smallest seconds or number.
    """

    name: str
    type: str
    help: str
    default: Any = None
    choices: tuple[str, ...] = ()
    least: int = 0
    required: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind.

    Attributes:
        name: as in an order.
        family: "answer", "write", "watch", "part", "pod" or "actor".
        sentence: what it does.
        options: those that it takes.
        servers: whose requests can be chosen; empty when it is not about requests.
    """

    name: str
    family: str
    sentence: str
    options: tuple[Option, ...] = ()
    servers: tuple[str, ...] = ()


_NODE = Option("node", "text", "name of the node; all nodes without it")
_THIS_NODE = Option("node", "text", "name of the node", required=True)
_POLICY = Option("policy", "policy", "NAMESPACE/NAME, or NAME of a clusterwide one", required=True)
_SET = Option("set", "patch", "JSON patch to write; without it the policy's description changes")


def _after(default: float) -> Option:
    return Option("after", "seconds", "how long it waits", default)


def _start(default: str) -> Option:
    return Option("start", "choice", "what it waits from", default, ("changed", "now"))


def _answers() -> tuple[Kind, ...]:
    everywhere = {
        "401": "says Unauthorized",
        "403": "says Forbidden",
        "404": "says Not Found",
        "500": "says Internal Server Error",
        "503": "says Service Unavailable",
        "504": "says Gateway Timeout",
        "reset": "resets the connection instead of an answer; nothing is done",
        "reset-mid-body": "does what is asked, and resets the connection in the middle of the "
        "answer",
        "hang": "never answers; nothing is done",
        "hang-after": "does what is asked, and never answers",
    }
    wait = Option("seconds", "seconds", "before the request is looked at", 2.0)
    retry = Option("retry_after", "number", "seconds in the header Retry-After", 1)
    return (
        *(Kind(name, "answer", sentence, (), SERVERS) for name, sentence in everywhere.items()),
        Kind("409", "answer", "says Conflict to a write", (), _API),
        Kind(
            "410", "answer", "says that the version is too old: to a list, or in a watch", (), _API
        ),
        Kind("429", "answer", "says Too Many Requests, with Retry-After", (retry,), SERVERS),
        Kind("slow", "answer", "answers late", (wait,), SERVERS),
    )


_WRITES = (
    Kind(
        "unanswered-write",
        "write",
        "does the write, and resets the connection instead of an answer",
        (),
        _API,
    ),
    Kind(
        "late-write",
        "write",
        "gives no answer, and does the write later, whoever has written meanwhile",
        (
            Option("seconds", "seconds", "from the request to the write", 5.0),
            Option("answer", "choice", "what the client sees", "reset", ("reset", "hang")),
        ),
        _API,
    ),
)

_WATCHES = (
    Kind(
        "watch-slow",
        "watch",
        "tells events late",
        (Option("seconds", "seconds", "before each event", 1.0),),
        _API,
    ),
    Kind(
        "watch-broken",
        "watch",
        "resets the connection of a watch, running ones included",
        (Option("events", "number", "that come through before", 0),),
        _API,
    ),
    Kind("watch-closed", "watch", "ends a watch at once, running ones included", (), _API),
    Kind("watch-silent", "watch", "keeps a watch open and tells no event", (), _API),
    Kind("watch-without-bookmarks", "watch", "leaves the bookmarks out of a watch", (), _API),
)

_PARTS = (
    Kind(
        "slow-enforcement",
        "part",
        "policies are enforced late",
        (Option("seconds", "seconds", "from the write to the datapath", 5.0), _NODE),
    ),
    Kind(
        "frozen-agent",
        "part",
        "an agent is down: old policy stays in force, new policy is accepted and never enforced",
        (_NODE,),
    ),
    Kind(
        "partial-enforcement",
        "part",
        "the agent of one node is down: it keeps the old policy, the others do not",
        (_THIS_NODE,),
    ),
    Kind("relay-down", "part", "Hubble relay cannot be reached"),
    Kind("relay-without-tls", "part", "Hubble relay serves in the clear"),
    Kind(
        "relay-certificate-expired",
        "part",
        "a certificate of Hubble relay has expired",
        (Option("whose", "choice", "which one", "server", ("server", "client")),),
    ),
    Kind(
        "lost-flows",
        "part",
        "Hubble loses flows and says so",
        (Option("number", "number", "of flows", 100, least=1), _NODE),
    ),
    Kind("hubble-node-down", "part", "relay does not reach one node", (_THIS_NODE,)),
    Kind(
        "agent-restart",
        "part",
        "an agent restarts: flows and Hubble counters are gone, new policy waits",
        (_THIS_NODE,),
    ),
    Kind("stale-metrics", "part", "Prometheus does not scrape any more", (_NODE,)),
    Kind(
        "missing-metric",
        "part",
        "a metric is not exposed",
        (Option("family", "text", "name of the metric", required=True),),
    ),
)

_PODS = (
    Kind(
        "pods-recreated",
        "pod",
        "the pods of a workload are created anew, with other names and addresses",
        (
            Option("workload", "policy", "NAMESPACE/NAME of the workload", required=True),
            _after(0.5),
        ),
    ),
)

_ACTORS = (
    Kind(
        "gitops",
        "actor",
        "Flux or Argo CD owns a policy and puts its content back after a change",
        (
            _POLICY,
            _after(5.0),
            Option("flavour", "choice", "who it is", "flux", ("flux", "argocd")),
        ),
    ),
    Kind(
        "person",
        "actor",
        "somebody edits a policy",
        (_POLICY, _after(2.0), _start("changed"), _SET),
    ),
    Kind(
        "deletion", "actor", "somebody deletes a policy", (_POLICY, _after(2.0), _start("changed"))
    ),
    Kind(
        "other-team",
        "actor",
        "another team's policy appears beside",
        (
            Option("policy_kind", "choice", "of their policy", "ccnp", ("ccnp", "netpol")),
            Option("namespace", "text", "where a NetworkPolicy appears", "pets"),
            _after(0.0),
        ),
    ),
    Kind(
        "flapping",
        "actor",
        "a policy is rewritten back and forth",
        (_POLICY, Option("every", "seconds", "between two writes", 1.0), _SET),
    ),
)

KINDS = {kind.name: kind for kind in (*_answers(), *_WRITES, *_WATCHES, *_PARTS, *_PODS, *_ACTORS)}
