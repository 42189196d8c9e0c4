"""The Markdown report: complete for a whole journal, honest for any other, immune to its text."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.report import markdown
from acns_chaos.report.text import fenced, plain
from tests.tiers import examples
from tests.unit.evidence_journals import (
    ALERT,
    CLOSED,
    POLICY,
    UNKNOWN,
    at,
    claim,
    failed,
    held,
    roles,
    run_of,
    signed,
    unmet,
)


def section(document: str, title: str) -> str:
    """Return the text below one heading, up to the next."""
    pattern = rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)"
    found = re.search(pattern, document, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def test_sections_in_order():
    """A report tells the story in the order a reviewer asks for it."""
    document = markdown([signed(held())])

    assert re.findall(r"^#+ .*$", document, re.MULTILINE) == [
        "# Does anyone notice when the storefront is cut off?",
        "## Target",
        "## What was asked",
        "## What was changed",
        "## What was seen",
        "## What was restored",
        "## Timeline",
        "## Versions",
        "## What was not observed",
    ]
    assert document.endswith("\n")
    assert "\n\n\n" not in document


def test_outcome_comes_first():
    """The outcome, its sentence and what to do next stand right below the title."""
    lines = markdown([signed(held())]).splitlines()

    assert lines[2] == (
        "**HELD** The fault in pets/allow-store-front-traffic bit, was noticed and was put back, "
        "in the lab: no cluster was touched."
    )
    assert lines[4].startswith("Next: Nothing to mend; ")


def test_target():
    """The report says where it ran, down to the UID."""
    told = section(markdown([signed(held())]), "Target")

    assert "| kind | the lab: no cluster was touched |" in told
    assert "| context | lab-pets |" in told
    assert "| server | https\\://127.0.0.1:1 |" in told
    assert "| UID of kube-system | 0b1e9a3c |" in told
    assert "| namespace | pets |" in told


def test_versions():
    """Versions of what took part are written down."""
    told = section(markdown([signed(held())]), "Versions")

    assert "| acns-chaos | 0.1.0 |" in told
    assert "| Chaos Toolkit library | 1.44.0 |" in told
    assert "| Cilium | 1.19.4 |" in told


def test_what_was_asked():
    """Each pass of the hypothesis shows its result and who decided it."""
    journal = held()
    journal["steady_states"]["after"] = unmet(CLOSED)
    journal["steady_states"]["during"] = [unmet(UNKNOWN)]
    told = section(markdown([signed(journal)]), "What was asked")

    assert "- customers reach the shop\n- strangers are denied\n" in told
    assert "| before the method | met | – |" in told
    assert (
        "| during the method (1) | **could not be told** "
        "| customers reach the shop: no drop counter could be read |"
    ) in told
    assert (
        "| after the method | **not met** | customers reach the shop: GET / met silence for 2 s |"
    ) in told


def test_what_was_changed():
    """The fault is shown as a difference of the policy's rules, with the predicted flows."""
    told = section(markdown([signed(held())]), "What was changed")

    assert f"**{POLICY}** (CiliumNetworkPolicy), fault ingress-from-nobody." in told
    assert "- closed: world -> pets/store-front:8080/TCP\n- opened: nothing\n" in told
    assert (
        "```diff\n--- before\n+++ fault\n@@ -3,5 +3,4 @@\n     matchLabels:\n"
        "       app: store-front\n   ingress:\n-  - fromEntities:\n-    - world\n"
        "+  - fromEndpoints: []\n```\n"
    ) in told


def test_a_bare_spec_gives_the_same_difference():
    """A fault recorded as its spec alone is compared like a whole object."""
    journal = held()
    fault = journal["acns_chaos"]["faults"][0]
    fault["fault"] = fault["fault"]["spec"]

    assert section(markdown([signed(journal)]), "What was changed") == section(
        markdown([signed(held())]), "What was changed"
    )


def test_what_was_seen():
    """Witnesses, detector and explanation are named as such, with what they read."""
    told = section(markdown([signed(held())]), "What was seen")

    assert "| witness | customers are turned away | DENIED | yes | GET / met silence" in told
    assert "| detector | Prometheus notices | COUNTED | yes | counted 3 drops |" in told
    assert f"| explanation | the policy explains it | NAMED | yes | {POLICY} denies it |" in told


def test_what_failed_is_seen():
    """An activity that failed stands in the table with its reason."""
    journal = held()
    failed(run_of(journal, ALERT), "chaoslib.exceptions.ActivityFailed: gone")
    told = section(markdown([signed(journal)]), "What was seen")

    assert "| detector | Prometheus notices | UNKNOWN | – | it failed: gone | – |" in told


def test_what_was_restored():
    """Who restored, when, and whether it equals the original."""
    told = section(markdown([signed(held())]), "What was restored")

    behaviour = "world -> pets/store-front:8080/TCP was open"
    assert f"| {POLICY} | method | {at(6)} | {at(6.02)} | yes | {behaviour} |" in told


def test_what_was_not_restored():
    """An open debt is written in bold."""
    journal = held()
    journal["acns_chaos"]["faults"][0]["restored"] = None
    document = markdown([signed(journal)])

    assert "**NOT_RESTORED**" in document
    assert "**not shown**: nothing says that it was put back" in section(
        document, "What was restored"
    )


def test_timeline():
    """Events are sorted by time and counted in milliseconds from the first."""
    journal = held()
    journal["acns_chaos"]["events"].append({"at": "once", "what": "lost"})
    told = section(markdown([signed(journal)]), "Timeline")

    assert told == (
        "\n| ms | at | event | detail |\n| --- | --- | --- | --- |\n"
        f"| 0 | {at(1)} | submitted | PUT |\n"
        f"| 5020 | {at(6.02)} | restored | reads back as it was |\n\n"
        "1 event(s) without a usable time are left out.\n\n"
    )


def test_who_noticed_when():
    """What the timeline saw: lines for each detector, moments with bounds, what was missing."""
    journal = held()
    moments = [
        {"what": "submitted", "at": at(1), "clock": "runner", "bound_ms": 1, "source": "runner"},
        {"what": "noticed", "at": at(1.25), "clock": "runner", "bound_ms": 20, "source": "client"},
    ]
    journal["acns_chaos"]["timeline"] = {
        "faults": [
            {
                "fault": "f1",
                "moments": moments,
                "time_to_detect": {"client": {"ms": 250.0, "bound_ms": 21.0}},
            }
        ],
        "not_observed": [{"source": "hubble", "why": "the relay is *away*"}],
        "lost": ["client-http: 2 samples were not taken in time"],
    }
    told = section(markdown([signed(journal)]), "Who noticed when")

    assert "- client noticed after 250 ms (± 21)\n" in told
    assert "| 250 | 20 | runner | noticed | client | – |\n" in told
    assert "- Not observed: hubble, because the relay is \\*away\\*.\n" in told
    assert "- Lost: client-http: 2 samples were not taken in time.\n" in told
    assert "## Who noticed when" not in markdown([signed(held())])


def test_a_timeline_of_nonsense_is_reported_without_harm():
    """A journal may come from anybody."""
    for nonsense in ("x", [1], {"faults": [{"moments": [None, {"at": 5}]}], "lost": [None]}):
        journal = held()
        journal["acns_chaos"]["timeline"] = nonsense
        assert "## Who noticed when" in markdown([signed(journal)])


def test_gaps():
    """What was not observed is said: roles, phases, milestones, Hubble, the lab."""
    journal = held()
    roles(journal).update(detectors=[], witnesses=["nobody"])
    journal["steady_states"]["after"] = None
    journal["experiment"]["dry"] = "probes"
    told = section(markdown([signed(journal)]), "What was not observed")

    assert "- What a dry run (probes) skips.\n" in told
    assert "- A real cluster: this ran in the lab, which imitates one.\n" in told
    assert "- By any detector: the experiment declares none.\n" in told
    assert "- By the witness nobody: it was never asked.\n" in told
    assert "- The hypothesis after the method.\n" in told
    assert "- When the first request succeeded again.\n" in told
    assert "- Hubble's flows: none were read" in told


def test_gaps_shrink_with_evidence():
    """What was observed is not listed as a gap."""
    journal = held()
    events = journal["acns_chaos"]["events"]
    events.append({"at": at(7), "what": "first-success", "detail": "200"})
    run_of(journal, ALERT)["output"]["evidence"] = {"flows": 2}
    told = section(markdown([signed(journal)]), "What was not observed")

    assert "succeeded again" not in told
    assert "Hubble" not in told


def test_a_claim():
    """A claim's report says that nothing was changed and nothing had to be restored."""
    document = markdown([signed(claim())])

    assert "Nothing: the journal records no fault." in section(document, "What was changed")
    assert "There was nothing to restore." in section(document, "What was restored")


@pytest.mark.parametrize(
    ("journal", "reason"),
    [
        (held(), "it is not signed: the guard did not see the end of this run"),
        ({"experiment": {"title": "x"}, "run": []}, "it has no acns_chaos section"),
        ({"experiment": {}, "status": "interrupted", "run": [{}]}, "it has no acns_chaos section"),
        ({}, "it has no acns_chaos section"),
    ],
)
def test_unsigned_foreign_and_interrupted(journal, reason):
    """A journal without proof is reported as INCONCLUSIVE, and says why."""
    document = markdown([journal])

    assert "**INCONCLUSIVE** " in document
    assert reason in document
    assert f"- Whether the journal is as the run wrote it: {reason}" in document


def test_several_begin_with_a_summary():
    """Several journals have one table of outcomes first, then a chapter each."""
    broken = held()
    broken["acns_chaos"]["target"].update(kind="cluster", context="aks-prod")
    broken["acns_chaos"]["faults"][0]["restored"] = None
    document = markdown([signed(held()), signed(broken)])

    assert document.startswith("# Report of 2 runs\n\n| # | experiment | target | outcome | why |")
    assert (
        "\n| 2 | Does anyone notice when the storefront is cut off? | in cluster aks-prod | "
        in (document)
    )
    assert "\n## 1. Does anyone" in document
    assert "\n## 2. Does anyone" in document
    assert document.count("\n### Target\n") == 2


@pytest.mark.parametrize(
    ("given", "rendered"),
    [
        ("a|b", "a\\|b"),
        ("two\nlines\r\n", "two lines"),
        ("`code`", "\\`code\\`"),
        ("<script>", "\\<script>"),
        ("&lt;", "&amp;lt;"),
        ("[x](http://y)", "\\[x\\](http\\://y)"),
        ("www.example.com", "www\\.example.com"),
        ("**bold** _it_", "\\*\\*bold\\*\\* \\_it\\_"),
        ("inject_fault", "inject_fault"),
        ("# title", "\\# title"),
        ("- item", "\\- item"),
        ("1. item", "1\\. item"),
        ("\x1b[31mred\u202e", "\\[31mred"),
        ("back\\slash", "back\\\\slash"),
        ("", "–"),
        (None, "–"),
        (12.5, "12.5"),
    ],
)
def test_text_renders_as_itself(given, rendered):
    """Markup, links, HTML, escapes and line breaks from a journal have no effect."""
    assert plain(given) == rendered


def test_fences_cannot_be_closed_from_inside():
    """A block's fence is longer than any run of backticks in it."""
    assert fenced("diff", ["+ ````"]) == ["`````diff", "+ ````", "`````", ""]


@given(noise=st.text(min_size=1, max_size=30))
def test_hostile_text_adds_neither_rows_nor_headings(noise):
    """Whatever text stands in a journal, the report keeps its shape."""
    journal = held()
    journal["experiment"]["title"] = f"x{noise}"
    journal["acns_chaos"]["target"]["context"] = noise
    journal["acns_chaos"]["events"][0]["detail"] = noise
    journal["acns_chaos"]["faults"][0]["operator"] = noise
    journal["acns_chaos"]["faults"][0]["fault"]["spec"]["description"] = noise
    run_of(journal, ALERT)["output"]["sentence"] = noise
    document = markdown([journal])

    assert len(re.findall(r"^#+ ", document, re.MULTILINE)) == 9
    assert document.count("\n| ") == markdown([held()]).count("\n| ")
    # Cells end at unescaped pipes only: each row of the timeline has four.
    rows = [row for row in section(document, "Timeline").splitlines() if row.startswith("|")]
    assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows} == {5}


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=10,
)
PATHS = [
    ("acns_chaos", key)
    for key in ("target", "faults", "events", "host", "outcome", "signature", "version")
]
PATHS += [("acns_chaos", "faults", 0, key) for key in held()["acns_chaos"]["faults"][0]]
PATHS += [("acns_chaos", "events", 0, key) for key in ("at", "what", "detail")]
PATHS += [("run",), ("run", 0), ("run", 1, "output"), ("run", 2, "activity"), ("experiment",)]
PATHS += [("experiment", key) for key in held()["experiment"]]
PATHS += [("steady_states",), ("steady_states", "after"), ("steady_states", "during")]


@examples(100)
@given(path=st.sampled_from(PATHS), value=JSONISH)
def test_never_raises(path, value):
    """A journal with anything in any place still gives a report that can be written."""
    journal = signed(held())
    place = journal
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value

    assert markdown([journal, json.loads(json.dumps(journal))]).encode("utf-8")
