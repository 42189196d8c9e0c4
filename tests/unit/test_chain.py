"""The events of a run are a chain: whatever is done to one of them, it shows, and where."""

import copy
import threading

import pytest

from acns_chaos.evidence.chain import Chain, begin, broken, declared, last, linked
from acns_chaos.faults.runcontext import RunContext

EXPERIMENT = {"title": "a question", "dry": None}


def event(number: int) -> dict[str, str]:
    """Return an event as `RunContext.note` makes it."""
    return {"at": f"2026-11-22T23:05:{number:02}+00:00", "what": "seen", "detail": f"no. {number}"}


def chained(count: int = 4) -> tuple[dict, list[dict]]:
    """Return a beginning and so many links after it."""
    begun = begin("run-1", "0.1.0", "uid-of-the-cluster", EXPERIMENT)
    events: list[dict] = []
    for number in range(count):
        events.append(linked(event(number), last(begun, events)))
    return begun, events


def test_whole():
    """A chain as it was made is whole, in whatever order its events are kept."""
    begun, events = chained()

    assert broken(begun, events) == ""
    assert broken(begun, events[::-1]) == ""


def test_ends_anywhere():
    """A run that dies leaves a chain that is whole up to where it ends."""
    begun, events = chained()

    for count in range(5):
        assert broken(begun, events[:count]) == ""


@pytest.mark.parametrize("key", ["at", "what", "prev", "hash", "proof", "salt", "detail"])
@pytest.mark.parametrize("place", [0, 2, 3])
def test_a_changed_event_is_named(key, place):
    """Any changed field of an event breaks the chain, and the event or the next one is named."""
    begun, events = chained()
    events[place] = {**events[place], key: events[place][key][:-1] + "~"}

    said = broken(begun, events)
    assert f"acns_chaos.events[{place}]" in said or f"acns_chaos.events[{place + 1}]" in said


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_event_taken_out_is_found(place):
    """Without an event, the next one does not follow from the one before."""
    begun, events = chained()
    del events[place]

    assert f"acns_chaos.events[{place}] (seen) does not follow" in broken(begun, events)


def test_an_event_put_in_is_found():
    """An event that is added later follows from one that another follows already."""
    begun, events = chained()
    events.append(linked(event(9), events[1]["hash"]))

    assert "does not follow" in broken(begun, events)


def test_an_event_more_key_is_found():
    """A key that an event did not have changes its hash."""
    begun, events = chained()
    events[1]["by"] = "somebody"

    assert broken(begun, events) == "acns_chaos.events[1] (seen) was changed after it was noted"


@pytest.mark.parametrize("key", ["run", "version", "target", "experiment", "hash"])
def test_another_beginning_is_found(key):
    """The chain belongs to one run, target, experiment and version."""
    begun, events = chained()

    assert broken({**begun, key: "other"}, events) != ""


def test_redacted():
    """Without salts the chain is whole as a redacted one, and only as that."""
    begun, events = chained()
    for one in (begun, *events):
        del one["salt"]
    for one in events:
        one["detail"] = "replaced"

    assert broken(begun, events, redacted=True) == ""
    assert "salt too many or too few" in broken(begun, events)
    assert "salt too many or too few" in broken(*chained(), redacted=True)


def test_a_name_cannot_be_tried():
    """The same target and event give other hashes in each run: nobody can try names on them."""
    first, second = chained(1), chained(1)

    assert first[0]["target"] != second[0]["target"]
    assert first[1][0]["proof"] != second[1][0]["proof"]


def test_what_the_host_writes_into_the_experiment():
    """The host's `dry`, and the value it hands to a tolerance, make no other experiment."""
    provider = {"type": "python", "arguments": {"expected": "OPEN"}}
    probe = {"name": "p", "tolerance": {"type": "probe", "provider": provider}}
    given = {"title": "t", "steady-state-hypothesis": {"probes": [probe, {"tolerance": 200}]}}
    played = copy.deepcopy(given)
    played["dry"] = "actions"
    place = played["steady-state-hypothesis"]["probes"][0]["tolerance"]["provider"]
    place["arguments"]["value"] = {"reading": "OPEN"}

    assert declared(given) == declared(played)
    place["arguments"]["expected"] = "DENIED"
    assert declared(given) != declared(played)


def test_many_threads_note_one_chain():
    """Events that several threads note at once still are one chain, each once."""
    begun = begin("run-1", "0.1.0", "", EXPERIMENT)
    run = RunContext("run-1", None, None, {}, {}, chain=Chain(begun))
    ready = threading.Barrier(8)

    def note(number: int) -> None:
        ready.wait()
        for turn in range(25):
            run.note("seen", f"{number}.{turn}")
            run.note_first("first", "only one")

    threads = [threading.Thread(target=note, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert broken(begun, run.events) == ""
    assert len({one["detail"] for one in run.events if one["what"] == "seen"}) == 200
    assert [one["what"] for one in run.events].count("first") == 1
