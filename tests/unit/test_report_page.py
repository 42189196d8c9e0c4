"""The page: one file that leads nowhere, says where it was, and leaves nothing out in silence."""

import base64
import copy
import hashlib
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.report.build import story
from acns_chaos.report.model import Story
from acns_chaos.report.page import FULL, page
from tests.tiers import examples
from tests.unit.evidence_journals import held, signed

JOURNALS = Path(__file__).parents[1] / "data" / "journals"


def told(**target: Any) -> Story:
    """Return the story of a run that held, at a place of one's choice."""
    journal = held()
    journal["acns_chaos"]["target"].update(target)
    return story(signed(journal))


def lab(**more: Any) -> Story:
    return told(kind="lab", context="lab-pets", uid="of-a-lab", **more)


def cluster(name: str, uid: str) -> Story:
    return told(kind="cluster", context=name, uid=uid)


def real(name: str) -> Story:
    """Return the story of a real run."""
    return story(json.loads((JOURNALS / f"{name}.json").read_text("utf-8")))


class TestStandsAlone:
    """Nothing in the file reaches out of it."""

    def test_its_policy_allows_one_style_sheet_and_nothing_else(self):
        """The policy names the hash of the style sheet as it stands in the page."""
        document = page([lab()])
        style = re.search(r"<style>(.*?)</style>", document, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()

        assert document.count("<style>") == 1
        assert (
            f'content="default-src &#39;none&#39;; style-src &#39;sha256-{digest}&#39;; img-src '
            'data:; base-uri &#39;none&#39;; form-action &#39;none&#39;"' in document
        )

    @pytest.mark.parametrize("name", ["storefront-ingress", "policy-flapping"])
    def test_it_runs_and_loads_nothing(self, name):
        """No script, no handler, no style attribute, and no reference but within the page."""
        document = page([real(name), lab()])

        assert not re.search(r"<(script|link|iframe|object|embed|img|base|form)\b", document)
        assert not re.search(r"<[^>]*\s(on\w+|style|src|srcset|xlink:href)\s*=", document)
        assert set(re.findall(r'href="([^"]*)"', document)) == {"#report", "#run1", "#run2"}
        assert "url(" not in document
        assert "@import" not in document

    def test_every_name_is_escaped(self):
        """Markup in a policy's name, a title or a reading is shown as its characters."""
        journal = held()
        hostile = '</style></title><script>alert(1)</script><img src=x onerror="a()">'
        journal["experiment"]["title"] = hostile
        journal["acns_chaos"]["faults"][0]["policy"]["name"] = hostile
        journal["run"][2]["output"]["sentence"] = hostile
        document = page([story(signed(journal))])

        assert "<script" not in document
        assert "<img" not in document
        assert document.count("</style>") == 1
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in document

    def test_a_cluster_name_cannot_leave_the_style_sheet(self):
        """The printed margin has the name as a string of escapes."""
        name = '"; } body { background: url(//x) } </style><script>'
        document = page([cluster(name, "u1")])

        assert "url(//x)" not in re.search(r"<style>(.*?)</style>", document, re.DOTALL)[1]
        assert document.count("</style>") == 1
        assert "<script" not in document


class TestPlace:
    """Where it was stands first, everywhere; results of places are never put together."""

    def test_a_lab_is_called_one(self):
        """Title, first line, foot and printed margin say so."""
        document = page([lab()])

        assert "<title>LAB (simulated) · HELD · " in document
        assert '<p class="place lab">LAB (simulated)</p>' in document
        assert r'@top-left { content: "LAB\20 \28 simulated\29 ";' in document
        assert document.rindex("LAB (simulated)") > document.index("<footer>")

    def test_a_cluster_is_called_by_its_name(self):
        """The context's name, and the UID among the particulars."""
        document = page([cluster("aks-prod", "uid-1")])

        assert "<title>cluster aks-prod · " in document
        assert "<dd>uid-1</dd>" in document
        assert "LAB" not in document

    def test_a_journal_without_a_place_says_so(self):
        """Nothing is assumed of what does not say where it was."""
        assert "<title>target unknown · INCONCLUSIVE · " in page([story({})])

    def test_lab_and_clusters_have_tables_of_their_own(self):
        """Three places, three tables, three counts, and each says where; no sum over them."""
        stories = [
            lab(),
            cluster("aks-a", "1"),
            lab(),
            cluster("aks-b", "2"),
            cluster("aks-a", "1"),
        ]
        document = page(stories)
        captions = re.findall(r'<caption id="place\d+-table">([^<]*)</caption>', document)
        counts = re.findall(r"<p>(\d runs?: [^<]*)</p>", document)

        assert captions == [
            "Runs in cluster aks-a (UID 1)",
            "Runs in cluster aks-b (UID 2)",
            "Runs in LAB (simulated)",
        ]
        assert counts == ["2 runs: 2 HELD.", "1 run: 1 HELD.", "2 runs: 2 HELD."]
        assert "5 HELD" not in document
        assert "says nothing of another" in document
        for label in ("cluster\\20 aks\\2d a", "cluster\\20 aks\\2d b", "LAB\\20 \\28 simulated"):
            assert re.search(
                rf'@page place\d {{ @top-left {{ content: "{re.escape(label)}', document
            )

    def test_two_clusters_of_one_name_are_two(self):
        """A cluster is its UID: the same context may lead elsewhere tomorrow."""
        document = page([cluster("aks-a", "1"), cluster("aks-a", "2")])

        assert len(re.findall(r"<caption id=\"place", document)) == 2


class TestWhole:
    """What is left out is said."""

    def test_problems_come_first(self):
        """What could not be read stands before any result."""
        document = page([lab()], ["x.json is cut off: <b>look</b>."])

        assert document.index("x.json is cut off: &lt;b&gt;look") < document.index("HELD</span>")

    def test_no_story_at_all(self):
        """A page of nothing says that nothing could be read."""
        document = page([], ["x.json is empty."])

        assert "No run could be read" in document
        assert "x.json is empty." in document

    def test_many_runs_are_told_briefly_and_it_says_so(self):
        """Beyond a dozen, what is left out of each is named, with the way to see it."""
        few, many = page([lab()] * FULL), page([lab()] * (FULL + 1))

        assert "leaves out" not in few
        assert few.count("What was seen</h4>") == FULL
        assert "This page tells of 13 runs, so of each it leaves out the drawing" in many
        assert "What was seen</h4>" not in many
        assert many.count("Is everything back?") == FULL + 1

    def test_long_lists_are_cut_and_counted(self):
        """Thousands of events do not make a page nobody can open."""
        journal = held()
        event = journal["acns_chaos"]["events"][0]
        journal["acns_chaos"]["events"] = [event] * 3000
        document = page([story(signed(journal))])

        assert "2750 more events are in the journal." in document
        assert len(document) < 200_000

    def test_permissions_are_grouped(self):
        """Verbs of one resource stand in one row; a journal without them says that it has none."""
        journal = held()
        journal["acns_chaos"]["permissions"] = [
            {"tier": "experiment", "verb": verb, "resource": "ciliumnetworkpolicies"}
            for verb in ("get", "update", "get")
        ]
        with_them = page([story(signed(journal))])

        assert '"row">ciliumnetworkpolicies</th><td>get, update</td><td>all</td>' in with_them
        assert "Not recorded: the run that wrote this journal did not note them." in page([lab()])

    def test_the_same_fault_made_again_is_shown_once(self):
        """A policy that flaps is one change, with how often it was made."""
        document = page([real("policy-flapping")])

        assert "pets/allow-store-front-traffic, 3 times</h3>" in document
        assert document.count('<pre class="diff"') == 1

    def test_what_somebody_else_wrote_is_shown(self):
        """A policy that was not overwritten is shown against its original."""
        document = page([real("storefront-ingress-edited")])

        assert "was not overwritten. Against the original:" in document
        assert document.count('<pre class="diff"') == 2


class TestMarkup:
    """For those who do not see the page, and for those who print it."""

    @pytest.mark.parametrize("name", ["storefront-ingress", "clusterwide-default-deny"])
    def test_headings_are_in_order(self, name):
        """One h1, and no level is skipped, alone and among others."""
        for stories in ([real(name)], [real(name), lab()]):
            levels = [int(one) for one in re.findall(r"<h(\d)", page(stories))]

            assert levels.count(1) == 1
            assert levels[0] == 1
            assert all(then - first <= 1 for first, then in itertools.pairwise(levels))

    def test_every_table_says_what_it_is(self):
        """Each has a caption, headed columns and headed rows."""
        document = page([real("storefront-ingress"), lab()])
        tables = re.findall(r"<table>.*?</table>", document, re.DOTALL)

        assert len(tables) > 8
        for table in tables:
            assert "<caption" in table
            assert '<th scope="col"' in table
            assert '<th scope="row"' in table

    def test_ids_are_unique_and_all_that_is_referred_to_exists(self):
        """Two runs on one page do not share a name, and no label points at nothing."""
        document = page([real("storefront-ingress"), real("storefront-ingress-edited"), lab()])
        ids = re.findall(r'\sid="([^"]*)"', document)
        named = re.findall(r'(?:aria-labelledby="|href="#)([^"]*)"', document)

        assert len(ids) == len(set(ids))
        assert set(named) <= set(ids)

    def test_it_has_a_language_and_a_viewport(self):
        """A screen reader knows how to speak, a phone how wide it is."""
        document = page([lab()])

        assert document.lstrip().startswith('<!DOCTYPE html>\n<html lang="en">')
        assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in document


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


@examples(6)
@given(data=st.data())
def test_whatever_a_journal_holds_a_page_is_made(data):
    """Any value at any place of a journal: never an error, and no markup of its own."""
    journal = copy.deepcopy(signed(held()))
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = journal
        while isinstance(place, dict | list) and place:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            key = data.draw(st.sampled_from(sorted(keys)))
            if data.draw(st.integers(0, 3)) == 0 or not isinstance(place[key], dict | list):
                place[key] = data.draw(JSON)
                break
            place = place[key]
    document = page([story(journal)])

    assert document.rstrip().endswith("</html>")
    assert "<script" not in document
