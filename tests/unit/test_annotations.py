"""Annotations in Grafana: what of a run is told, and that no mood of Grafana reaches the run."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.cluster.grafana import Annotation, Grafana, grafana_settings
from acns_chaos.cluster.policies import PolicyRef
from acns_chaos.cluster.target import Target
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.controls import annotations as control
from acns_chaos.controls.annotated import Ending, Telling, inert, milliseconds, wanted
from acns_chaos.controls.annotator import Annotator
from acns_chaos.errors import ApiError
from acns_chaos.faults.ledger import Debt
from acns_chaos.faults.runcontext import arm, disarm
from tests.lab.grafana_stand_in import PASSWORD, TOKEN, USER, StandIn, grafana_stand_in
from tests.tiers import examples
from tests.unit.fakes import FakeApi, run_on

BEGAN = "2026-11-23T09:00:00.000000+00:00"
SUBMITTED = "2026-11-23T09:00:01.123999+00:00"
VERIFIED = "2026-11-23T09:00:04.500001+00:00"
ENDED = "2026-11-23T09:00:06.000000+00:00"
SECOND = 1795424400000
CLUSTER = Target("cluster", "pets-aks", "https://x", "uid", "pets", "1.19.4", "v1.33.5")
TELLING = Telling("20261123T090000-abcd", CLUSTER, "Do we notice?", BEGAN)
HELD = Ending(ENDED, "HELD", "All came back.")


def debt(number: str = "f1", **more: Any) -> Debt:
    """A fault that the server accepted."""
    ref = PolicyRef("CiliumNetworkPolicy", "pets", "allow-x")
    found = Debt(number, ref, "ingress-from-nobody", {})
    for name, value in {"submitted": SUBMITTED, "accepted": SUBMITTED, **more}.items():
        setattr(found, name, value)
    return found


def put_back(by: str = "method", **more: Any) -> dict[str, Any]:
    """The journal's record of a restore."""
    return {"by": by, "submitted": VERIFIED, "verified": VERIFIED, "problem": "", **more}


# ---------------------------------------------------------------------- what is told


def test_a_run_is_told_by_its_start_each_fault_each_restore_and_its_end() -> None:
    """The fault is a region from its submission to the verified restore; moments as journalled."""
    found = wanted(TELLING, [debt(restored=put_back())], [], HELD)

    assert list(found) == ["start", "fault f1", "restore f1", "end"]
    assert [(one.time - SECOND, one.end and one.end - SECOND) for one in found.values()] == [
        (0, None),
        (1123, 4500),
        (4500, None),
        (6000, None),
    ]
    assert found["fault f1"].tags == (
        "acns-chaos", "fault", "run:20261123T090000-abcd", "namespace:pets", "cluster:pets-aks",
        "outcome:HELD",
    )  # fmt: skip
    assert found["fault f1"].text == (
        "cluster pets-aks · namespace pets · fault f1: ingress-from-nobody on pets/allow-x"
    )
    assert found["end"].text.endswith("ends: HELD. All came back. (Do we notice?)")
    assert "outcome:HELD" in found["end"].tags


def test_a_lab_is_not_told_under_the_mark_of_clusters() -> None:
    """On a real cluster's dashboard a simulated outage would look like one of it."""
    in_lab = replace(TELLING, target=replace(CLUSTER, kind="lab"))

    (found,) = wanted(in_lab, [], [], None).values()

    assert found.tags[0] == "acns-chaos-lab"
    assert "acns-chaos" not in found.tags
    assert found.text.startswith("LAB (simulated) · ")
    assert "cluster:LAB (simulated)" in found.tags


def test_a_fault_that_stands_is_a_region_without_an_end() -> None:
    """It has no end before somebody has put it back, and says so when the run is over."""
    open_one = wanted(TELLING, [debt()], [], None)
    left = wanted(TELLING, [debt(restored=put_back(verified=None))], [], HELD)

    assert list(open_one) == ["start", "fault f1"]
    assert open_one["fault f1"].end is None
    assert list(left) == ["start", "fault f1", "end"]
    assert left["fault f1"].text.endswith("it was not put back by this run")


def test_nothing_is_told_of_a_fault_that_the_server_has_not_accepted() -> None:
    """Refused, it never stood; when nobody knows, it is told once it was restored."""
    assert list(wanted(TELLING, [debt(accepted="")], [], None)) == ["start"]
    assert list(wanted(TELLING, [debt(submitted="", accepted="")], [], HELD)) == ["start", "end"]
    restored = debt(accepted="", restored=put_back())
    assert list(wanted(TELLING, [restored], [], None)) == ["start", "fault f1", "restore f1"]


def test_objects_of_one_fault_are_one_region() -> None:
    """From the first that was changed to the last that was put back."""
    first = debt("f2.1", restored=put_back())
    later = debt("f2.2", submitted=VERIFIED, restored=put_back(verified=ENDED))

    found = wanted(TELLING, [first, later], [], None)

    assert list(found) == ["start", "fault f2", "restore f2"]
    assert (found["fault f2"].time, found["fault f2"].end) == (SECOND + 1123, SECOND + 6000)
    assert list(wanted(TELLING, [first, debt("f2.2")], [], None)) == ["start", "fault f2"]


def test_who_put_a_fault_back_is_told_with_their_moment() -> None:
    """The watchdog tells the run at once; what others wrote is told in whole seconds."""
    event = {"what": "restore-submitted", "detail": "fault f1, by the watchdog", "at": VERIFIED}
    by_watchdog = wanted(TELLING, [debt()], [event], None)
    gitops = put_back("others", who="flux <b>", when="2026-11-23T09:00:01Z", verified=ENDED)
    by_others = wanted(TELLING, [debt(restored=gitops)], [], None)

    assert by_watchdog["fault f1"].end == SECOND + 4500
    assert by_watchdog["restore f1"].text.endswith("put back by the watchdog")
    # A whole second that lies before the fault cannot be meant.
    assert by_others["fault f1"].end == SECOND + 1123
    assert by_others["restore f1"].text.endswith("by others (flux &#60;b&#62;)")


def test_a_run_of_many_faults_writes_a_bounded_number() -> None:
    """Flapping must not flood a Grafana."""
    found = wanted(TELLING, [debt(f"f{one}") for one in range(1, 300)], [], HELD)

    assert len(found) == 52
    assert "end" in found


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![](https://evil.example/x.png) https://evil.example www.evil.example a@evil.example",
    "`code` **bold** <!-- --> ]]> &lt;b&gt; \x1b[31m \u202egnp.exe \x00 \ud800 \n# heading",
]


class Elements(HTMLParser):
    """What a browser would make of a text."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """An element."""
        self.made.append(tag)

    def handle_comment(self, data: str) -> None:
        """A comment."""
        self.made.append("comment")

    def handle_data(self, data: str) -> None:
        """Text."""
        self.text += data


def read_as_html(text: str) -> Elements:
    """Parse it."""
    found = Elements()
    found.feed(text)
    found.close()
    return found


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_only_text(text: str) -> None:
    """Grafana renders annotations as HTML: no element, no link, no second line, no hidden sign."""
    target = replace(CLUSTER, context=text, namespace=text)
    told = replace(TELLING, title=text, target=target)
    found = wanted(told, [debt(operator=text, restored=put_back(text))], [], HELD)

    for one in found.values():
        assert read_as_html(one.text).made == []
        assert not re.search(r"[\[\]<>`*\x00-\x1f]|://|www\.|@|\u202e|\ud800", one.text)
        assert all("\x1b" not in tag and "\n" not in tag and len(tag) <= 80 for tag in one.tags)
        json.dumps(one.as_json()).encode()
    assert "alert(1)" not in text or "alert(1)" in read_as_html(found["start"].text).text


@given(st.text(max_size=200))
@examples(60)
def test_any_text_is_inert_and_loses_no_letter(text: str) -> None:
    """What a browser shows is what was meant, but for signs that nobody sees."""
    shown = read_as_html(inert(text))

    assert shown.made == []
    assert [one for one in shown.text if one.isalnum()] == [one for one in text if one.isalnum()]


def test_moments_are_cut_to_milliseconds_exactly() -> None:
    """No rounding through floats, and a moment without a zone is UTC."""
    assert milliseconds("2026-11-23T09:00:00.123000+00:00") == SECOND + 123
    assert milliseconds("2026-11-23T10:00:00.999999+01:00") == SECOND + 999
    assert milliseconds("2026-11-23T09:00:00") == SECOND


# ---------------------------------------------------------------------- the thread


class Kept:
    """A Grafana in memory.

    Attributes:
        failures: errors of the next requests, in order.
        calls: what was asked.
        gate: a request waits for it.
        retry_after: what its last refusal said.
        renewals: how many fresh tokens there are.
    """

    def __init__(self) -> None:
        self.failures: list[ApiError | None] = []
        self.calls: list[tuple[str, Annotation]] = []
        self.stands: dict[int, Annotation] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.retry_after: float | None = None
        self.renewals = 0
        self.closed = False

    def add(self, annotation: Annotation) -> int:
        """Write one."""
        self._ask("add", annotation)
        self.stands[len(self.stands) + 1] = annotation
        return len(self.stands)

    def change(self, identifier: int, annotation: Annotation) -> None:
        """Change one."""
        self._ask("change", annotation)
        self.stands[identifier] = annotation

    def renew(self) -> bool:
        """Take a fresh token."""
        self.renewals -= 1
        return self.renewals >= 0

    def close(self) -> None:
        """Note it."""
        self.closed = True

    def _ask(self, what: str, annotation: Annotation) -> None:
        self.calls.append((what, annotation))
        assert self.gate.wait(10)
        failure = self.failures.pop(0) if self.failures else None
        if failure:
            raise failure


@pytest.fixture
def kept() -> Iterator[Kept]:
    """A Grafana whose gate is open at the end."""
    found = Kept()
    yield found
    found.gate.set()


START = Annotation(SECOND, None, ("start",), "begins")
FAULT = Annotation(SECOND + 1, None, ("fault",), "breaks")
END = Annotation(SECOND + 9, None, ("end",), "ends")


def begun(kept: Kept, wants: dict[str, Annotation], patience: float = 1.0) -> Annotator:
    """An annotator at work."""
    found = Annotator(lambda: kept, lambda: dict(wants), patience)
    found.start()
    return found


def test_what_is_wanted_comes_to_stand_in_grafana(kept: Kept) -> None:
    """Written when it is new, changed when it differs, times before words; then it is closed."""
    wants = {"start": START, "fault f1": FAULT}
    annotator = begun(kept, wants)
    assert wait_until(lambda: len(kept.stands) == 2, 2, interval=0.005)
    wants["start"] = replace(START, text="begins, they say")
    wants["fault f1"] = replace(FAULT, end=SECOND + 5)
    wants["end"] = END

    told = annotator.finish()

    assert told == {"written": 3, "failed": []}
    assert list(kept.stands.values()) == list(wants.values())
    assert [(what, one.tags[0]) for what, one in kept.calls[2:]] == [
        ("change", "fault"),
        ("add", "end"),
        ("change", "start"),
    ]
    assert wait_until(lambda: kept.closed, 1)


def test_the_end_waits_no_longer_than_it_may(kept: Kept) -> None:
    """A Grafana that hangs costs that long, and what was not written is named."""
    kept.gate.clear()
    annotator = begun(kept, {"start": START, "end": END}, patience=0.1)
    began = time.monotonic()

    told = annotator.finish()

    assert time.monotonic() - began < 0.5
    assert told["written"] == 0
    assert [one["what"] for one in told["failed"]] == ["start", "end"]
    assert told["failed"][0]["why"] == "no answer within 0.1 s of the run's end"
    kept.gate.set()
    assert wait_until(lambda: kept.closed, 1), "the thread ends once its request does"
    assert len(kept.calls) == 1, "nothing is written after the end"


@pytest.mark.parametrize("status", [401, 403, 302, 200])
def test_an_answer_that_is_final_is_not_asked_again(
    kept: Kept, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Said once in the log; everything that was wanted is named as not written."""
    kept.failures = [ApiError("no", status)] * 9
    annotator = begun(kept, {"start": START, "end": END})

    told = annotator.finish()

    assert len(kept.calls) == 1
    assert told["failed"] == [{"what": "start", "why": "no"}, {"what": "end", "why": "no"}]
    assert len(caplog.messages) == 1
    assert "start is not annotated: no. The run goes on" in caplog.messages[0]


def test_a_token_that_ran_out_is_renewed_once(kept: Kept) -> None:
    """A second refusal is an answer."""
    kept.renewals = 5
    kept.failures = [ApiError("no", 401)]
    assert begun(kept, {"start": START}).finish()["written"] == 1
    kept.calls.clear()
    kept.failures = [ApiError("no", 401)] * 5
    assert begun(kept, {"start": START}).finish()["written"] == 0
    assert len(kept.calls) == 2


def test_a_busy_grafana_is_asked_again_when_it_allows_it(kept: Kept) -> None:
    """429 with Retry-After wrote nothing, so the same is asked again; not before."""
    kept.failures, kept.retry_after = [ApiError("busy", 429)], 0.1
    annotator = begun(kept, {"start": START})
    began = time.monotonic()
    assert wait_until(lambda: bool(kept.stands), 2, interval=0.005)

    assert time.monotonic() - began >= 0.08
    assert annotator.finish() == {"written": 1, "failed": []}


def test_the_end_does_not_wait_for_a_grafana_that_asks_for_more_time(kept: Kept) -> None:
    """Ten minutes are not waited for, nor is the second."""
    kept.failures, kept.retry_after = [ApiError("busy", 429)], 600
    annotator = begun(kept, {"start": START})
    assert wait_until(lambda: bool(kept.calls), 2, interval=0.005)
    began = time.monotonic()

    told = annotator.finish()

    assert time.monotonic() - began < 0.5
    assert told["failed"] == [{"what": "start", "why": "busy"}]


def test_what_may_stand_there_is_written_again_only_with_another_time(kept: Kept) -> None:
    """An answer that never came may have been a yes; a region's end is worth a second one."""
    kept.failures = [ApiError("no answer", 0)]
    wants = {"fault f1": FAULT}
    annotator = begun(kept, wants)
    assert wait_until(lambda: bool(kept.calls), 2, interval=0.005)
    wants["fault f1"] = replace(FAULT, tags=("fault", "outcome:HELD"))
    assert not wait_until(lambda: len(kept.calls) > 1, 0.25)
    wants["fault f1"] = replace(FAULT, end=SECOND + 5)

    assert annotator.finish() == {"written": 1, "failed": []}
    assert [what for what, _ in kept.calls] == ["add", "add"]


def test_a_failure_of_the_control_itself_stays_its_own() -> None:
    """The thread ends and says what it was."""

    def broken() -> dict[str, Annotation]:
        raise KeyError("x") if threading.current_thread().name == "annotations" else ValueError

    annotator = Annotator(Kept, broken)
    annotator.start()
    with pytest.raises(ValueError):
        annotator.finish()
    wants = iter([KeyError("x")])

    def once() -> dict[str, Annotation]:
        if failure := next(wants, None):
            raise failure
        return {"start": START}

    annotator = Annotator(Kept, once)
    annotator.start()
    (told,) = annotator.finish()["failed"]
    assert told == {"what": "start", "why": "it failed: KeyError"}


# ---------------------------------------------------------------------- the control


@pytest.fixture
def armed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An armed run, and no variable of Grafana."""
    for name in ("URL", "AUTH", "TOKEN", "TOKEN_FILE", "USERNAME", "PASSWORD", "DASHBOARD"):
        monkeypatch.delenv(f"ACNS_CHAOS_GRAFANA_{name}", raising=False)
    run = run_on(FakeApi())
    control.configure_control({})
    arm(run)
    yield run
    control.cleanup_control()
    disarm()


def test_it_is_silent_where_no_grafana_is_named(armed: Any) -> None:
    """Whoever lists it for everybody disturbs nobody."""
    control.before_experiment_control({"title": "Why?"})

    assert armed.annotations is None


def test_what_cannot_be_meant_is_said_once_and_stands_in_the_journal(
    armed: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A token nobody says how to use; the token itself is not quoted."""
    monkeypatch.setenv("ACNS_CHAOS_GRAFANA_URL", "https://grafana.example")
    monkeypatch.setenv("ACNS_CHAOS_GRAFANA_TOKEN", TOKEN)

    control.before_experiment_control({"title": "Why?"})
    control.before_activity_control({}, {"title": "Why?"})
    told = armed.annotations.finish("HELD", "fine")

    assert len(caplog.messages) == 1
    assert "set ACNS_CHAOS_GRAFANA_AUTH to bearer, too" in caplog.messages[0]
    assert told["failed"][0]["what"] == "all"
    assert TOKEN not in caplog.text + json.dumps(told)


def test_a_control_that_comes_before_the_guard_begins_with_the_first_activity(
    armed: Any, monkeypatch: pytest.MonkeyPatch, grafana: StandIn
) -> None:
    """Controls of a control file are called before those of the experiment."""
    monkeypatch.setenv("ACNS_CHAOS_GRAFANA_URL", grafana.url)
    control.configure_control({}, secrets={"grafana": {"token": TOKEN}, "other": {"a": "b"}})
    disarm()
    control.before_experiment_control({"title": "Why?"})
    assert armed.annotations is None
    arm(armed)

    control.before_activity_control({}, {"title": "Why?"})
    told = armed.annotations.finish("HELD", "fine")

    assert (told["written"], told["failed"]) == (2, [])
    assert armed.annotations.finish("HELD", "fine") is told, "the end is told once"
    assert [milliseconds(told[one]) for one in ("start", "end")] == [
        one["time"] for one in grafana.of("run:run-1")
    ]
    assert "Why?" in grafana.of("start")[0]["text"]


# ---------------------------------------------------------------------- settings and wire


@pytest.fixture
def grafana() -> Iterator[StandIn]:
    """A stand-in."""
    with grafana_stand_in() as found:
        yield found


def opened(stand_in: StandIn, timeout: float = 2.0, **more: str) -> Grafana:
    """Open it, signed in with the token unless it is said otherwise."""
    given = {"URL": stand_in.url, **(more or {"AUTH": "bearer", "TOKEN": TOKEN})}
    environ = {f"ACNS_CHAOS_GRAFANA_{name}": text for name, text in given.items()}
    return Grafana(grafana_settings(environ, {}), timeout)


def test_an_annotation_is_written_and_changed_over_the_wire(grafana: StandIn) -> None:
    """Fields and types as Grafana documents them; PATCH changes what it is given."""
    client = opened(grafana, AUTH="basic", USERNAME=USER, PASSWORD=PASSWORD)
    number = client.add(FAULT)
    client.change(number, replace(FAULT, end=SECOND + 5, tags=("fault", "x")))
    client.close()

    (kept,) = grafana.of("x")
    assert (kept["time"], kept["timeEnd"], kept["text"]) == (SECOND + 1, SECOND + 5, "breaks")
    assert kept["dashboardUID"] == ""
    assert [(one[0], one[1]) for one in grafana.heard] == [
        ("POST", "/api/annotations"),
        ("PATCH", f"/api/annotations/{number}"),
    ]


def test_a_dashboard_of_ones_own_is_named_in_every_annotation(grafana: StandIn) -> None:
    """Its UID goes along; one that is none is refused before anything is sent."""
    client = opened(grafana, AUTH="bearer", TOKEN=TOKEN, DASHBOARD="acns-chaos")
    client.add(START)
    client.close()

    assert grafana.of("start")[0]["dashboardUID"] == "acns-chaos"
    with pytest.raises(ApiError, match="no UID of a dashboard"):
        opened(grafana, AUTH="bearer", TOKEN=TOKEN, DASHBOARD="../admin")


MOODS: list[tuple[int | str, str]] = [
    (401, "it does not accept the bearer credentials"),
    (403, "annotations:create and annotations:write are missing"),
    (404, "nothing is at this path"),
    (429, "it is asked too much"),
    (500, "it answered 500: mood, and you sent Bearer [*]{3}"),
    (302, "it redirects"),
    ("garbage", "no Grafana"),
    ("reset", "no answer: "),
    ("hang", "no answer: not in time"),
    ("drip", "no answer: not in time"),
]


@pytest.mark.parametrize(("mood", "sentence"), MOODS)
def test_every_bad_answer_is_one_sentence_without_the_token(
    grafana: StandIn, mood: int | str, sentence: str
) -> None:
    """What it was and what mends it; a redirect is not followed, least of all with a token."""
    with grafana_stand_in() as elsewhere:
        grafana.moods, grafana.location = [mood], f"{elsewhere.url}/api/annotations"
        client = opened(grafana, timeout=0.2)
        with pytest.raises(ApiError, match=sentence) as met:
            client.add(START)
        client.close()

    assert TOKEN not in str(met.value)
    assert elsewhere.heard == []


def test_no_proxy_of_the_environment_hears_of_a_grafana_on_loopback(
    grafana: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it get the token."""
    with grafana_stand_in() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        client = opened(grafana)
        client.add(START)
        client.close()

    assert proxy.heard == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"URL": "grafana.example"}, "no address"),
        ({"URL": "https://grafana.example"}, "Nobody signs in"),
        ({"URL": "http://grafana.example", "AUTH": "bearer", "TOKEN": TOKEN}, "in clear"),
        ({"URL": "https://g.example", "TOKEN": TOKEN}, "set ACNS_CHAOS_GRAFANA_AUTH to bearer"),
        ({"URL": "https://g.example", "AUTH": "token"}, "ACNS_CHAOS_GRAFANA_AUTH must be"),
        ({"URL": "https://g.example", "AUTH": "bearer"}, "set either ACNS_CHAOS_GRAFANA_TOKEN"),
    ],
)
def test_settings_that_cannot_be_meant_are_one_sentence(
    given: dict[str, str], sentence: str
) -> None:
    """It names the variable of Grafana's, and no secret."""
    environ = {f"ACNS_CHAOS_GRAFANA_{name}": text for name, text in given.items()}

    with pytest.raises(ApiError, match=sentence) as met:
        grafana_settings(environ, {})
    assert TOKEN not in str(met.value)


def test_the_experiments_secrets_go_before_the_environment() -> None:
    """A token, or a user and a password, in the group `grafana`."""
    environ = {"ACNS_CHAOS_GRAFANA_URL": "https://g.example"}

    def header(**secrets: str) -> str:
        return grafana_settings(environ, secrets).credentials.header()

    assert header(token=" abc ") == "Bearer abc"
    assert header(username="a", password="b") == "Basic YTpi"
    with pytest.raises(ApiError, match="need a `token`"):
        header(password=PASSWORD)
    assert grafana_settings({}, {"token": TOKEN}).url == ""


def test_microsoft_entra_is_asked_for_grafanas_own_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that the variable names, or the application that `az grafana` asks for."""
    from azure import identity

    scopes: list[str] = []

    def provider(chain: Any, scope: str) -> Callable[[], str]:
        scopes.append(scope)
        return lambda: "eyJtoken"

    monkeypatch.setattr(identity, "get_bearer_token_provider", provider)
    environ = {
        "ACNS_CHAOS_GRAFANA_URL": "https://g.example",
        "ACNS_CHAOS_GRAFANA_AUTH": "azure:cli",
    }
    for more in ({}, {"ACNS_CHAOS_GRAFANA_SCOPE": "https://dashboard.azure.com/.default"}):
        found = grafana_settings({**environ, **more}, {}).credentials.header()
        assert found == "Bearer eyJtoken"
    assert scopes == [
        "ce34e7e5-485f-4d76-964f-b3d2b16d1e4f/.default",
        "https://dashboard.azure.com/.default",
    ]
