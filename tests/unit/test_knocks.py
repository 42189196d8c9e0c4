"""Who was dropped before a detector noticed: somebody, or nobody but the witnesses."""

from datetime import UTC, datetime
from typing import Any

import pytest

from acns_chaos.evidence.facts import Facts
from acns_chaos.evidence.knocks import others_knocked

BEGAN = datetime(2026, 11, 23, 10, 0, tzinfo=UTC).timestamp()


def at(seconds: float) -> str:
    """So many seconds after the fault."""
    return datetime.fromtimestamp(BEGAN + seconds, UTC).isoformat()


def knocked(
    until: float, *connections: float, complete: bool = True, verdict: str = "DROPPED"
) -> bool | None:
    """Ask of a journal with these dropped connections and one client that asked after a second."""
    evidence = {
        "query": {"verdict": verdict},
        "connections": [at(one) for one in connections],
        "hubble": {"complete": complete},
    }

    def played(name: str, func: str, output: Any) -> dict[str, Any]:
        provider = {"type": "python", "module": "acns_chaos.probes", "func": func}
        activity = {"name": name, "type": "probe", "provider": provider}
        return {"activity": activity, "status": "succeeded", "start": at(1.1), "output": output}

    block = {"name": "acns-chaos", "witnesses": ["a client", "hubble"]}
    journal = {
        "experiment": {"extensions": [block]},
        "run": [
            played("a client", "read_connection", {}),
            played("hubble", "read_flows", {"evidence": evidence}),
        ],
    }
    return others_knocked(Facts(journal), datetime.fromisoformat(at(until)))


@pytest.mark.parametrize(
    ("until", "connections", "others"),
    [
        (0.9, (0.1, 1.2), False),
        (0.9, (0.1, 0.5, 1.2), True),
        (2.0, (0.1, 1.2), False),
        (2.0, (0.1, 0.7, 1.2), True),
        (0.9, (1.2,), None),
        (0.9, (), None),
    ],
)
def test_more_connections_than_the_witnesses_make_are_somebody_else_s(
    until: float, connections: tuple[float, ...], others: bool | None
) -> None:
    """The attempt that saw the fault is one, and each client that has asked by then another."""
    assert knocked(until, *connections) is others


def test_flows_that_may_be_missing_leave_it_open() -> None:
    """What was seen stays seen."""
    assert knocked(0.9, 0.1, complete=False) is None
    assert knocked(0.9, 0.1, 0.2, complete=False) is True
    assert knocked(0.9, 0.1, 0.2, verdict="FORWARDED") is None
