"""The Markdown report: short, honest for any journal, and immune to its text."""

import copy
import re
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.report.build import story
from acns_chaos.report.markdown import LONGEST, markdown
from acns_chaos.report.text import fenced, folded, plain
from tests.tiers import examples
from tests.unit.evidence_journals import (
    ALERT,
    CLOSED,
    POLICY,
    UNKNOWN,
    at,
    believed,
    claim,
    failed,
    held,
    roles,
    run_of,
    signed,
    unmet,
)


def written(*journals) -> str:
    """Return the report of journals."""
    return markdown([story(journal) for journal in journals])


def part(document: str, summary: str) -> str:
    """Return what is folded under one summary."""
    pattern = rf"<summary>{re.escape(summary)}[^<]*</summary>\n(.*?)\n</details>"
    found = re.search(pattern, document, re.DOTALL)
    assert found, summary
    return found[1]


def silent() -> dict:
    """Return a journal whose detector saw nothing."""
    journal = held()
    output = run_of(journal, ALERT)["output"]
    output.update(met=False, count=0.0, sentence="counted 0 drops")
    return signed(journal)


def elsewhere(context: str, uid: str) -> dict:
    """Return a journal of a cluster."""
    journal = held()
    journal["acns_chaos"]["target"].update(kind="cluster", context=context, uid=uid)
    journal["acns_chaos"]["run"] = f"run-{uid}"
    return signed(journal)


def test_one_run_is_a_screenful():
    """What is not folded fits a screen: where, the question, the outcome, one row."""
    document = written(signed(held()))
    open_lines = re.sub(r"<details>.*", "", document, flags=re.DOTALL).splitlines()

    assert open_lines[0] == "**LAB (simulated)**, namespace pets"
    assert open_lines[2] == "# Does anyone notice when the storefront is cut off?"
    assert open_lines[4] == (
        "**HELD** The fault in pets/allow-store-front-traffic bit, was noticed and was put back, "
        "in the lab: no cluster was touched."
    )
    assert open_lines[6].startswith("Next: Nothing to mend; ")
    assert open_lines[10] == (
        "| Does anyone notice when the storefront is cut off? | **HELD** | 5.02 s (± 0.03) | "
        "Prometheus notices | 2.00 s | yes |"
    )
    assert len(open_lines) <= 14
    assert document.endswith("\n")
    assert "\n\n\n" not in document


def test_parts_that_are_folded():
    """The rest is folded, in the order in which a reviewer asks for it."""
    found = re.findall(r"<summary>(.*?)(?: \(\d+\))?</summary>", written(signed(held())))

    assert found == [
        "Answers for a reviewer",
        "What was changed",
        "What was asked, seen and restored",
        "Who noticed when",
        "What was not observed",
        "Target, versions, permissions, evidence",
    ]


def test_a_cluster_is_named_first():
    """The first line of a report of a cluster's run names it, with what tells it from others."""
    first = written(elsewhere("aks-prod", "uid-1")).splitlines()[0]

    assert first == "**cluster aks-prod (UID uid-1)**, namespace pets"


def test_what_nobody_noticed_comes_before_the_table():
    """A fault that bit while its detector was silent is named before any row."""
    document = written(silent())
    named = f'- **Not noticed:** {POLICY} (ingress-from-nobody): nobody noticed; "{ALERT}" stayed'

    assert named in document
    assert document.index(named) < document.index("| experiment |")
    assert "| **NOT_NOTICED** | 5.02 s (± 0.03) | nobody | – | yes |" in document
    assert "Not noticed" not in written(signed(held()))


def test_our_own_witnesses_notice_nothing():
    """Witnesses see the fault of a run whose detector is silent, and it still survives."""
    journal = silent()

    assert all(run_of(journal, name)["output"]["met"] for name in roles(journal)["witnesses"])
    assert "Not noticed" in written(journal)


def test_a_fault_without_any_detector_survives():
    """Where no detector is declared nobody was asked, and the report says so."""
    journal = held()
    roles(journal)["detectors"] = []
    document = written(signed(journal))

    assert "no detector is declared, so nobody was asked to notice." in document
    assert "| nobody: no detector is declared | – | yes |" in document


def test_a_detector_that_could_not_tell_is_not_silent():
    """UNKNOWN is neither noticed nor silent."""
    journal = held()
    run_of(journal, ALERT)["output"] = copy.deepcopy(UNKNOWN)
    document = written(signed(journal))

    assert "no detector could tell." in document
    assert "| nobody that could tell | – | yes |" in document
    assert "stayed silent" not in document


def test_a_fault_that_was_never_in_force_survives_nothing():
    """What was not injected could not be noticed."""
    journal = silent()
    journal["acns_chaos"]["faults"][0].update(realised=None)

    assert "Not noticed" not in written(signed(journal))


def test_target():
    """The report says where it ran, down to the UID, and with what."""
    told = part(written(signed(held())), "Target, versions, permissions, evidence")

    assert "| where | LAB (simulated) |" in told
    assert "| kind | the lab: no cluster was touched |" in told
    assert "| context | lab-pets |" in told
    assert "| server | https\\://127.0.0.1:1 |" in told
    assert "| acns-chaos | 0.1.0 |" in told
    assert "| Chaos Toolkit library | 1.44.0 |" in told
    assert "| Cilium | 1.19.4 |" in told
    assert "| permissions | not recorded |" in told
    assert "| evidence | signed and unchanged |" in told


def test_what_was_asked():
    """Each pass of the hypothesis shows its result and who decided it."""
    journal = held()
    journal["steady_states"]["after"] = unmet(CLOSED)
    journal["steady_states"]["during"] = [unmet(UNKNOWN)]
    told = part(written(signed(journal)), "What was asked, seen and restored")

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
    told = part(written(signed(held())), "What was changed")

    assert f"**{POLICY}** (CiliumNetworkPolicy), fault ingress-from-nobody." in told
    assert (
        "- predicted to close: world -> pets/store-front:8080/TCP\n- predicted to open: nothing\n"
    ) in told
    assert "```diff\n" in told
    assert "\n-   - fromEntities:" in told
    assert "\n+   - fromEndpoints: []  ◀\n" in told
    assert "Guilty (◀): spec.ingress" in told


def test_the_same_change_is_shown_once():
    """A policy that flaps changes in the same way each time: one difference says it."""
    journal = held()
    second = copy.deepcopy(journal["acns_chaos"]["faults"][0])
    second["id"] = "f2"
    journal["acns_chaos"]["faults"].append(second)
    told = part(written(signed(journal)), "What was changed")

    assert told.count("```diff") == 1
    assert "The same difference as above." in told


def test_what_was_seen():
    """Witnesses, detector and explanation are named as such, with what they read."""
    told = part(written(signed(held())), "What was asked, seen and restored")

    assert "| witness | customers are turned away | DENIED | yes | GET / met silence" in told
    assert "| detector | Prometheus notices | COUNTED | yes | counted 3 drops |" in told
    assert f"| explanation | the policy explains it | NAMED | yes | {POLICY} denies it |" in told


def test_what_failed_is_seen():
    """An activity that failed stands in the table with its reason."""
    journal = held()
    failed(run_of(journal, ALERT), "chaoslib.exceptions.ActivityFailed: gone")
    told = part(written(signed(journal)), "What was asked, seen and restored")

    assert "| detector | Prometheus notices | UNKNOWN | – | it failed: gone |" in told


def test_what_was_restored():
    """Who restored, when, and whether it equals the original."""
    told = part(written(signed(held())), "What was asked, seen and restored")

    behaviour = "world -> pets/store-front:8080/TCP was open"
    assert f"| {POLICY} | method | {at(6.02)} | yes | {behaviour} |" in told


def test_what_was_not_restored():
    """An open debt is written in bold, in the row as well."""
    journal = held()
    journal["acns_chaos"]["faults"][0]["restored"] = None
    document = written(signed(journal))

    assert "**NOT_RESTORED**" in document
    assert "| **no** |\n" in document
    told = part(document, "What was asked, seen and restored")
    assert "**not shown**: nothing says that it was put back" in told


def test_what_somebody_else_wrote():
    """A policy that was not overwritten is shown against its original."""
    journal = held()
    journal["acns_chaos"]["faults"][0]["restored"].update(
        problem="somebody changed it", difference="-  a: 1\n+  a: `2`"
    )
    told = part(written(signed(journal)), "What was asked, seen and restored")

    assert f"**{POLICY}** was not overwritten; against the original:" in told
    assert "```diff\n-  a: 1\n+  a: `2`\n```" in told


def test_who_noticed_when():
    """Each of those who looked stands with its time or its reason; then the events."""
    journal = held()
    journal["acns_chaos"]["events"].append({"at": "once", "what": "lost"})
    told = part(written(signed(journal)), "Who noticed when")

    assert "| detector | Prometheus notices | 2.00 s | – |" in told
    assert "| 0 | submitted | PUT |\n| 5020 | restored | reads back as it was |\n" in told
    assert "1 event(s) without a usable time are left out." in told


def test_answers():
    """The reviewer's questions are answered, in order."""
    told = part(written(signed(held())), "Answers for a reviewer")

    assert re.findall(r"^\*\*(.*)\*\*$", told, re.MULTILINE) == [
        "What was broken?",
        "For how long?",
        "Who noticed, and when?",
        "What would not have been noticed?",
        "Is everything back?",
        "Why that outcome?",
    ]
    assert "\n- Yes: " in told


def test_gaps():
    """What was not observed is said: roles, phases, milestones, Hubble, the lab."""
    journal = held()
    roles(journal).update(detectors=[], witnesses=["nobody"])
    journal["steady_states"]["after"] = None
    journal["experiment"]["dry"] = "probes"
    told = part(written(signed(journal)), "What was not observed")

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
    told = part(written(signed(journal)), "What was not observed")

    assert "succeeded again" not in told
    assert "Hubble" not in told


def test_a_claim():
    """A claim's report says that nothing was changed, so that nothing had to be noticed."""
    document = written(signed(claim()))

    assert "| no fault | nothing to notice | – | nothing was changed |" in document
    assert "What was changed" not in document


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
    document = written(journal)

    assert "**INCONCLUSIVE** " in document
    assert reason in document
    assert f"- Whether the journal is as the run wrote it: {reason}" in document
    assert "| **unknown** |\n" in document


def test_several_begin_with_their_tables():
    """Several journals of one place have one table and its counts, then each run, folded."""
    document = written(signed(held()), silent())

    assert document.startswith("**LAB (simulated)**, namespace pets\n\n# 2 runs of acns-chaos\n")
    assert "## LAB (simulated)\n\n2 runs: 1 HELD, 1 NOT_NOTICED.\n" in document
    assert document.count("| experiment | outcome |") == 1
    assert "<summary>Run 2 of 2 there</summary>" in document


def test_places_share_no_table_and_no_count():
    """The lab and each cluster, also two of the same name, have a table of their own."""
    document = written(
        signed(held()), elsewhere("aks-prod", "uid-1"), elsewhere("aks-prod", "uid-2"), silent()
    )
    first = document.splitlines()[0]

    assert first == (
        "**cluster aks-prod (UID uid-1)**, **cluster aks-prod (UID uid-2)**, **LAB (simulated)**"
    )
    assert document.count("| experiment | outcome |") == 3
    assert "1 run: 1 HELD.\n" in document
    assert "2 runs: 1 HELD, 1 NOT_NOTICED.\n" in document
    assert "3 HELD" not in document
    assert re.search(r"^These runs were in different places", document, re.MULTILINE)


def test_problems_come_before_anything_good():
    """What could not be read is said first."""
    document = markdown([story(signed(held()))], ["x.json is cut off: do *this*."])

    assert "\n- **About the files:** x.json is cut off: do \\*this\\*.\n" in document
    assert document.index("About the files") < document.index("| experiment |")


def test_no_run_at_all():
    """A report of nothing says so."""
    assert markdown([]).startswith("**no run**\n\n# No run could be read")


@pytest.mark.parametrize(("runs", "all_in_the_table"), [(60, True), (400, False)])
def test_many_runs_fit_a_comment(runs, all_in_the_table):
    """A forge takes so many characters: what does not fit is counted and said."""
    problems = [f"{number}.json is empty." for number in range(200)]
    document = markdown([story(signed(held()))] * runs, problems)

    assert len(document) < LONGEST + 500
    assert (document.count("\n| Does anyone notice") == runs) is all_in_the_table
    assert ("more are left out of this table" in document) is not all_in_the_table
    assert re.search(r"\n\d+ runs are told in the tables only, to keep this short", document)
    assert "- and 185 more files.\n" in document


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
        ("---", "\\---"),
        ("===", "\\==="),
        ("1. item", "1\\. item"),
        ("\x1b[31mred\u202e", "\\[31mred"),
        ("back\\slash", "back\\\\slash"),
        ("mail@example.com", "mail@\u2060example.com"),
        ("@everyone", "@\u2060everyone"),
        ("fixes #1", "fixes \\#\u20601"),
        ("closes GH-12", "closes GH-\u206012"),
        ("", "–"),
        (None, "–"),
        (12.5, "12.5"),
    ],
)
def test_text_renders_as_itself(given, rendered):
    """Markup, links, HTML, escapes, calls and line breaks from a journal have no effect."""
    assert plain(given) == rendered


def test_fences_cannot_be_closed_from_inside():
    """A block's fence is longer than any run of backticks in it."""
    assert fenced("diff", ["+ ````"]) == ["`````diff", "+ ````", "`````", ""]


def test_nothing_is_folded_to_nothing():
    """A summary that leads to nothing is left out."""
    assert folded("empty", []) == []


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=10,
)
PATHS = [
    ("acns_chaos", key)
    for key in ("target", "faults", "events", "host", "outcome", "signature", "version", "timeline")
]
PATHS += [("acns_chaos", "faults", 0, key) for key in held()["acns_chaos"]["faults"][0]]
PATHS += [("acns_chaos", "events", 0, key) for key in ("at", "what", "detail")]
PATHS += [("run",), ("run", 0), ("run", 1, "output"), ("run", 2, "activity"), ("experiment",)]
PATHS += [("experiment", key) for key in held()["experiment"]]
PATHS += [("steady_states",), ("steady_states", "after"), ("steady_states", "during")]


@examples(30)
@given(path=st.sampled_from(PATHS), value=JSONISH, trusted=st.booleans())
def test_never_raises(path, value, trusted):
    """A journal with anything in any place still gives a report that can be written."""
    journal = held()
    place = journal
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with believed() if trusted else nullcontext():
        assert written(journal).encode("utf-8")
