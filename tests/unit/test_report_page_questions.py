"""What a reviewer who knows nothing of the tool finds in the page's text: the questions, answered.

The journals are of real runs; what they say is written out here, figures as the journal has them.
"""

import json
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.report.build import story
from acns_chaos.report.page import page

JOURNALS = Path(__file__).parents[1] / "data" / "journals"
VOID = {"meta", "input", "br", "img", "link", "hr"}
BLOCKS = {"p", "li", "dt", "dd", "div", "h1", "h2", "h3", "h4", "tr", "caption", "summary", "span"}
SECONDS = r"\d+\.\d\d s \(± \d+\.\d\d\)"
SHORT = r"(\d+ ms \(± \d+\)|\d+\.\d\d s \(± \d+\.\d\d\))"


class Text(HTMLParser):
    """The text that a page shows, a line for each block, and its title."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.said = ""
        self.title = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag in BLOCKS:
            self.said += "\n"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "the page's elements are nested"
        if tag in BLOCKS:
            self.said += "\n"

    def handle_data(self, data: str) -> None:
        if self.open == ["html", "head", "title"]:
            self.title += data
        elif self.open and self.open[-1] not in ("style", "title", "desc"):
            self.said += data

    @property
    def lines(self) -> list[str]:
        return [" ".join(one.split()) for one in self.said.splitlines() if one.strip()]


def journal(name: str) -> dict[str, Any]:
    """Read a journal that a real run wrote."""
    return json.loads((JOURNALS / f"{name}.json").read_text("utf-8"))


def read(*names: str) -> Text:
    """Return the text of the page of some runs."""
    text = Text()
    text.feed(page([story(journal(name)) for name in names]))
    assert text.open == [], "the page ends where it is complete"
    return text


def answer(lines: list[str], question: str) -> list[str]:
    """Return what stands between a question and the next one, or the next heading."""
    ends = {
        "What was broken?",
        "For how long?",
        "Who noticed, and when?",
        "What would not have been noticed?",
        "Is everything back?",
        "What happened when",
        "What was changed",
    }
    begin = lines.index(question) + 1
    end = next(n for n in range(begin, len(lines)) if lines[n] in ends)
    return lines[begin:end]


def found(patterns: Iterable[str], lines: list[str]) -> list[str]:
    """Return those patterns that no line matches as a whole."""
    return [one for one in patterns if not any(re.fullmatch(one, line) for line in lines)]


QUESTIONS = {
    "storefront-ingress": {
        "What was broken?": [
            (
                r"CiliumNetworkPolicy pets/allow-store-front-traffic was changed on purpose "
                r"\(ingress-from-nobody\), predicted to close world -> pets/store-front:8080/TCP\."
            )
        ],
        "For how long?": [
            rf"The fault stood for {SECONDS}, from [\d:.]{{12}} to [\d:.]{{12}} UTC\.",
            (
                rf"Customers were cut off for {SECONDS}\. All was well {SHORT} after the restore "
                r"was submitted\."
            ),
        ],
        "Who noticed, and when?": [
            rf'The detector "Prometheus notices policy drops on the nodes" noticed after {SHORT}\.',
            rf'The witness "customers are cut off" confirmed it after {SHORT}\.',
            rf"This run's own client saw requests fail after {SHORT}\.",
            rf'The explanation "the policy to blame is named" named the cause after {SHORT}\.',
        ],
        "What would not have been noticed?": [
            r"Every declared detector noticed\.",
            r"Kubernetes' own readiness saw nothing: pets/store-front: all pods are Ready\.",
            (
                r"Whether the 7 claims of the hypothesis would have told is not known: asked "
                r'before and after only \("customers reach the shop", .*\)\.'
            ),
        ],
        "Is everything back?": [
            r"Yes: every policy reads back equal to its original, by hash\.",
            r"Their flows were seen to be as before\.",
            r"All 7 claims of the hypothesis are met again\.",
        ],
    },
    "product-egress-open": {
        "What was broken?": [
            (
                r"CiliumNetworkPolicy pets/allow-product-service-traffic was changed on purpose "
                r"\(egress-removed\), predicted to open pets/product-service -> .* and \d+ more\."
            )
        ],
        "For how long?": [
            rf"The fault stood for {SECONDS}, from .* UTC\.",
            r"Customers were not cut off, as far as this run saw: no request was seen to fail\.",
        ],
        "Who noticed, and when?": [
            (
                r'The witness "product-service gets out to www\.bing\.com" confirmed it '
                rf"after {SHORT}\."
            ),
            r"No detector noticed: nothing that would have told the team without this run\.",
        ],
        "What would not have been noticed?": [
            (
                r'The detector "Prometheus notices policy drops on the nodes" stayed silent: '
                r"0 counted by cilium_drop_count_total\."
            ),
            r"What it opened makes no drops, so no count of drops can tell: .*",
        ],
        "Is everything back?": [r"Yes: every policy reads back equal to its original, by hash\."],
    },
    "clusterwide-default-deny": {
        "What was broken?": [r"Nothing: no fault was injected\."],
        "For how long?": [r"Not at all: no fault was injected\."],
        "Who noticed, and when?": [r"Nobody had anything to notice: no fault was injected\."],
        "What would not have been noticed?": [
            r"Nothing is learnt about detection: no fault was injected\."
        ],
        "Is everything back?": [r"Yes: this run changed no policy\."],
    },
    "storefront-ingress-edited": {
        "What was broken?": [
            (
                r"CiliumNetworkPolicy pets/allow-store-front-traffic was changed on purpose "
                r"\(ingress-from-nobody\), predicted to close world -> pets/store-front:8080/TCP\."
            )
        ],
        "For how long?": [
            (
                r"Unknown, since [\d:.]{12} UTC: it is not shown to have ended \(the journal ends "
                r"at [\d:]{8} UTC\)\."
            ),
            r"How long customers were cut off is not known: no request was seen to succeed again\.",
        ],
        "Who noticed, and when?": [
            rf'The detector "Prometheus notices policy drops on the nodes" noticed after {SHORT}\.'
        ],
        "What would not have been noticed?": [r"Every declared detector noticed\."],
        "Is everything back?": [
            r"No: not everything is shown to be as it was\.",
            (
                r"pets/allow-store-front-traffic is neither the fault nor the original any more "
                r"\(kubectl-edit wrote it at .*\): it was not overwritten\..*"
            ),
            (
                r"Put pets/allow-store-front-traffic back now: the original is in this journal "
                r"under acns_chaos\.faults\."
            ),
        ],
    },
}
OUTCOMES = {
    "storefront-ingress": ("HELD", "✓", "Yes: every policy reads back equal"),
    "product-egress-open": ("NOT_NOTICED", "✗", "Yes: every policy reads back equal"),
    "clusterwide-default-deny": ("NOT_INJECTED", "?", "Yes: this run changed no policy."),
    "storefront-ingress-edited": ("NOT_RESTORED", "✗", "No: not everything is shown to be as"),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_reviewer_finds_the_answers(name: str) -> None:
    """What was broken, for how long, who noticed, what nobody would have, is everything back."""
    lines = read(name).lines
    missing = {
        question: left
        for question, expected in QUESTIONS[name].items()
        if (left := found(expected, answer(lines, question)))
    }

    assert missing == {}


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_page_begins_with_the_place_the_outcome_and_what_is_back(name: str) -> None:
    """After the skip link: where, the question, the outcome in a sentence, everything back?"""
    text = read(name)
    outcome, _, back = OUTCOMES[name]
    title = journal(name)["experiment"]["title"]
    lines = text.lines

    assert lines[:2] == ["Skip to the report", "LAB (simulated)"]
    assert text.title == f"LAB (simulated) · {outcome} · {title}"
    assert lines.index(title) < lines.index(outcome) < lines.index("In short")
    assert lines[lines.index("Everything back?") + 1].startswith(back)
    assert journal(name)["acns_chaos"]["outcome"]["sentence"] in lines


def test_figures_are_the_journals() -> None:
    """A time in the page is the journal's own, in words."""
    lines = read("storefront-ingress").lines
    (times,) = journal("storefront-ingress")["acns_chaos"]["timeline"]["faults"]
    noticed = times["time_to_detect"]["Prometheus notices policy drops on the nodes"]
    outage = times["outage"]
    first = f"{noticed['ms'] / 1000:.2f} s (± {noticed['bound_ms'] / 1000:.2f})"
    cut_off = f"{outage['ms'] / 1000:.2f} s (± {outage['bound_ms'] / 1000:.2f})"

    assert any(one.endswith(f'on the nodes" noticed after {first}.') for one in lines)
    assert any(one.startswith(f"Customers were cut off for {cut_off}.") for one in lines)


def test_two_runs_begin_with_a_table() -> None:
    """Both runs are a row, in one place, with its own counts; each has its own answers."""
    lines = read("storefront-ingress", "product-egress-open").lines
    titles = [
        journal(one)["experiment"]["title"] for one in ("storefront-ingress", "product-egress-open")
    ]
    row = " ".join(lines)

    assert lines[1] == "LAB (simulated)"
    assert "2 runs: 1 HELD, 1 NOT_NOTICED." in lines
    for title, outcome in zip(titles, ("HELD", "NOT_NOTICED"), strict=True):
        assert re.search(rf"{re.escape(title)} {outcome} 1{SECONDS}", row)
    assert re.search(r"NOT_NOTICED 1[^✓]*?nobody yes", row)
    assert lines.count("Is everything back?") == 2
    assert lines.count("Who noticed, and when?") == 2


def test_the_sections_come_in_the_order_a_reviewer_asks() -> None:
    """From the outcome to the evidence, each section once."""
    lines = read("storefront-ingress").lines
    wanted = [
        "In short",
        "What happened when",
        "What was changed",
        "Predicted against observed",
        "What was asked",
        "What was seen",
        "Who noticed when",
        "What was restored",
        "What was not observed",
        "Where it was, with which versions",
        "Permissions used",
        "Evidence",
    ]

    assert [one for one in lines if one in wanted] == wanted


def test_what_was_not_observed_is_told() -> None:
    """The page never ends without saying what it does not know."""
    lines = read("storefront-ingress").lines

    assert "A real cluster: this ran in the lab, which imitates one." in lines
    assert "The hypothesis while the method ran: it was played before and after only." in lines
