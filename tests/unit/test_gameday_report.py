"""The report of a game day: survivors first, who noticed what, and each mistake to dig in."""

import json
import re
import xml.etree.ElementTree as ET
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from acns_chaos.cli import main
from acns_chaos.errors import GameDayError
from acns_chaos.gameday.history import History
from acns_chaos.gameday.report import document, write_report
from acns_chaos.gameday.report.matrix import ELSE, MOST_COLUMNS, NO, NONE, UNABLE, matrix_of
from acns_chaos.gameday.report.reading import Told, read
from acns_chaos.gameday.report.telling import head_of, labels_of, place_label, trend_told
from acns_chaos.gameday.report.view import view_of
from acns_chaos.gameday.results import parse
from tests.unit.gameday_played import PLAN, make_day, results
from tests.unit.gameday_results import DAY, detector, result
from tests.unit.gameday_results import document as line
from tests.unit.json_schema import faults_of

ROSE = [{"name": "hubble_drop_total pets/store-front ingress", "rose": True, "by": 4}]
SECURE = [detector("closed", False, judges="security") | {"kind": "claim"}]


def told(folder: Path, *lines: dict[str, Any], journals: bool = False, **more: Any) -> Told:
    """Read a day of these lines."""
    return read([make_day(folder / "day", list(lines), journals=journals)], **more)


def small(**changes: Any) -> tuple[dict[str, Any], ...]:
    """One mutant that was noticed, one that was not, though a counter rose, one that is unknown."""
    return (
        line("pets/allow-store-front-traffic:rule-emptied@spec.ingress[0]", position=1),
        line(
            "pets/allow-store-front-traffic:port-off-by-one@spec.ingress[0]",
            "survived",
            position=2,
            signals=ROSE,
            mistake="A port is off by one.",
            **changes,
        ),
        line("m3", "unknown", position=3, why="the pods were not there"),
    )


class TestPage:
    """One file, which begins with where it was."""

    def test_it_says_where_it_was_before_anything_else(self, tmp_path):
        """LAB (simulated) is in the title, the first line, a banner and the margin of print."""
        page = document("html", told(tmp_path, *small()))

        assert "<title>LAB (simulated) · " in page
        assert page.count("LAB (simulated)") >= 4
        assert "No cluster was touched: this tells what these detectors notice" in page
        assert '@top-left { content: "LAB\\20 \\28 simulated\\29 "' in page

    def test_a_kill_by_the_runs_own_packets_says_so(self, tmp_path):
        """Who listens would notice once somebody uses the flow."""
        first, *others = small()
        page = document("html", told(tmp_path, first | {"others": False}, *others))

        assert page.count("when only the run itself used the flow") == 1

    def test_survivors_come_before_the_matrix_with_what_would_have_noticed(self, tmp_path):
        """Mistake, prediction, the signal nobody listened to, the rule's text, and the fold."""
        page = document("html", told(tmp_path, *small()))

        first, matrix = page.index('id="survivors"'), page.index('id="matrix"')
        part = page[first:matrix]
        assert "A port is off by one." in part
        assert "pets/a -&gt; pets/b:80/TCP" in part
        assert "UNHEARD</strong> hubble_drop_total pets/store-front ingress rose by 4" in part
        assert "alert: PolicyDrops_Pets_StoreFront_Ingress" in part
        assert "Not verified" in part
        assert "rule-emptied" not in part

    def test_a_suggestion_that_was_tried_says_what_came_of_it(self, tmp_path):
        """`verified.json` beside the results, as `gameday run --verify-suggestions` writes it."""
        folder = make_day(tmp_path / "day", list(small()), journals=False)
        name = "PolicyDrops_Pets_StoreFront_Ingress"
        tried = {"mutant": small()[1]["mutant"], "name": name, "caught": True, "after_ms": 1200}
        (folder / "verified.json").write_text(json.dumps([tried]))

        page, short = (document(form, read([folder])) for form in ("html", "md"))

        assert "Verified: the mutant was run again with it, and it noticed after 1.20\xa0s" in page
        assert f"{name}, verified." in short.replace("\\", "")

    @pytest.mark.parametrize("text", ["", "{", "[1, null]", '{"a": 1}', "[" * 100_000])
    def test_a_broken_file_beside_the_results_says_nothing(self, tmp_path, text):
        """Neither `verified.json` nor `experiments.jsonl` can keep a report from being made."""
        folder = make_day(tmp_path / "day", list(small()), journals=False)
        for name in ("verified.json", "experiments.jsonl"):
            (folder / name).write_text(text)

        assert "Not verified" in document("html", read([folder]))

    def test_a_file_that_is_a_link_out_of_the_folder_is_not_read(self, tmp_path):
        """Nor is a journal that is named by a path that leads away."""
        folder = make_day(tmp_path / "day", list(small(journal="../secret.json")), journals=False)
        secret = {"acns_chaos": {"faults": [{"predicted": {"closed": ["secret"]}}]}}
        (tmp_path / "secret.json").write_text(json.dumps(secret))
        tried = {"mutant": small()[1]["mutant"], "name": "PolicyDrops_Pets_StoreFront_Ingress"}
        (tmp_path / "tried.json").write_text(json.dumps([tried | {"why": "secret"}]))
        (folder / "verified.json").symlink_to(tmp_path / "tried.json")
        (folder / "plan.json").write_text(json.dumps({"day": DAY, "plan": PLAN}))

        assert "secret</" not in document("html", read([folder]))

    def test_a_mutant_is_told_from_its_journal(self, tmp_path):
        """Its policy's difference, its timeline, its readings, and the command that repeats it."""
        page = document("html", told(tmp_path, *results(4), journals=True))

        fold = page[page.index('id="m1"') :]
        assert 'class="diff"' in fold
        assert "Timeline of the run" in fold
        assert "What was seen" in fold
        assert re.search(r"ACNS_CHAOS_CLUSTER=lab chaos run experiments/\d+\.json", fold)

    def test_a_journal_that_stayed_with_its_shard_is_missed_in_words(self, tmp_path):
        """Merged results have no journals; what their lines say is told all the same."""
        page = document("html", told(tmp_path, *small()))

        assert page.count("is not beside the results: journals stay with the shard") == 3
        assert "What each detector made of it" in page

    def test_what_is_unknown_has_its_reason_and_since_when(self, tmp_path):
        """It is in no score; the history says since when, and what holds from before."""
        history = tmp_path / "history"
        old, then, new = ("2026-10-01T10:00:00", "2026-10-20T10:00:00", "2026-11-01T10:00:00")
        before = [
            line("m3", "killed", day="a", ended=old),
            line("m3", "unknown", day="b", ended=then),
            line("m4", "killed", day="c", ended=new),
        ]
        History(history).add([parse(json.dumps(one)) for one in before], "pets")

        view = view_of(told(tmp_path, *small(), line("m4", "unknown"), history=history))

        (_, four, *_, held), (_, three, why, since, last) = view.unknown
        assert ("m3" in three, why) == (True, "the pods were not there")
        assert (since, last) == ("2026-10-20", "killed on 2026-10-01")
        assert ("m4" in four, held) == (True, "killed on 2026-11-01, holds until 2026-12-01")

    def test_what_is_undecided_is_told_beside_the_score_and_with_its_reason(self, tmp_path):
        """In every form; it is in the table of who noticed what, and among no survivors."""
        cannot = "it cannot be asked: Prometheus is down"
        mute = detector("StorefrontDrops", None, judges="availability") | {"why": cannot}
        deaf = detector("closed", None, judges="security") | {"why": cannot}
        why = f"whether it was noticed cannot be told: StorefrontDrops: {cannot}"
        heard = detector("StorefrontDrops", judges="availability")
        found = told(
            tmp_path,
            line("m1", "unknown", bit=True, detectors=[mute], why=why, position=1),
            line("m2", detectors=[heard, deaf], position=2, **{"class": "both"}),
        )
        view, page, short = view_of(found), document("html", found), document("md", found)

        said = "1 of 2 mistakes was noticed by somebody. Whether 1 was noticed cannot be told."
        assert head_of(found).sentence == said
        assert [(one.name, one.value) for one in view.figures[2:]] == [
            ("Unheard", "0"),
            ("Undecided", "2"),
            ("Unknown", "0"),
        ]
        assert "1 of 2 faults that close flows noticed, 1 undecided" in view.figures[0].hint
        assert [each[2:] for each in view.undecided] == [
            ("availability", why),
            ("security", f"closed: {cannot}"),
        ]
        assert 'id="undecided"' in page
        assert (view.survivors, view.unknown) == ((), ())
        cells = [row.cells for group in view.matrix.groups for row in group.rows]
        assert cells[0][0].kind == UNABLE
        assert f"undecided, {why}" in short.replace("\\", "")
        assert f"1: {cannot} (1)" in [row[7] for row in view.standings]
        root = ET.fromstring(document("junit", found))
        messages = [one.get("message") for one in root.iter("skipped")]
        assert messages == [
            f"Undecided for availability, and counted as not noticed: {why}.",
            f"Undecided for security, and counted as not noticed: closed: {cannot}.",
        ]

    def test_nothing_judged_is_no_success(self, tmp_path):
        """A day of unknown mutants has no score, and says that nobody knows."""
        page = document("html", told(tmp_path, line("m1", "unknown")))

        assert "Nothing was judged. 1 was not run, or in a run that proves nothing." in page
        assert "Nobody knows: no mutant was judged." in page
        assert "MINIMUM REACHED" not in page

    def test_the_plans_own_experiments_are_told_and_count_for_the_code(self, tmp_path):
        """In no score; one that did not hold makes the day fall short."""
        folder = make_day(tmp_path / "day", [line("m1")], journals=False)
        own = {"experiment": "1. x.json", "outcome": "DEVIATED", "sentence": "It deviated."}
        (folder / "experiments.jsonl").write_text(json.dumps(own) + "\n")

        found = read([folder])

        assert found.code == 1
        assert "It deviated." in document("html", found)

    def test_it_is_bounded(self, tmp_path):
        """Of very many mutants the survivors are kept, and what is left out is counted."""
        many = [line(f"k{n}", position=n) for n in range(1_050)]
        many += [line(f"s{n}", "survived", position=2_000 + n) for n in range(300)]
        view = view_of(told(tmp_path, *many))

        assert len(view.mutants) == 400
        assert all(one.tone == "bad" for one in view.mutants[:300])
        assert (len(view.survivors), view.more_survivors[:17]) == (250, "50 more survivors")
        assert view.mutants_note.startswith("950 more mutants")
        rows = [row for group in view.matrix.groups for row in group.rows]
        assert len(rows) == 1_000
        assert sum(row.missed for row in rows) == 300
        assert view.matrix.notes == ("350 that were noticed are left out of this table.",)


class TestMatrix:
    """A row a mutant, a column a detector."""

    def cells(self, folder: Path, *lines: dict[str, Any]) -> list[list[Any]]:
        found = matrix_of(told(folder, *lines), {})
        return [list(row.cells) for group in found.groups for row in group.rows]

    def test_each_cell_says_how_soon_or_why_not(self, tmp_path):
        """A time, no, could not judge, not its direction, not asked: by kind and in words."""
        asked = [
            detector("StorefrontDrops", True, 1_800, "availability"),
            detector("NodeDrops", False, judges="availability"),
            detector("OrderQueueGrows", None, judges="availability"),
            detector("rabbitmq-closed", True, 10, "security"),
            # As the plan has it, dns-kept is for the other direction, and is not asked at all.
            detector("another", True, 2_000),
        ]
        later = line("m2", detectors=[], position=2, by="")
        silent, row = self.cells(tmp_path, line(detectors=asked), later)

        assert [one.kind for one in row] == ["t1", NO, UNABLE, ELSE, ELSE, "t1"]
        assert [one.text for one in row[:3]] == ["1.8 s", "no", "can’t tell"]
        assert [one.first for one in row] == [True, *[False] * 5]
        assert [one.kind for one in silent] == [NONE, NONE, NONE, ELSE, ELSE, NONE]

    def test_rows_are_grouped_by_policy_and_direction_survivors_first(self, tmp_path):
        """What closes before what opens, under the policy's name, with how many were noticed."""
        lines = [
            line("p:a", policy="p", position=1, **{"class": "opens"}),
            line("p:b", policy="p", position=2),
            line("q:c", policy="q", position=3),
            line("p:d", "survived", policy="p", position=4),
        ]
        groups = matrix_of(told(tmp_path, *lines), {}).groups

        assert [(one.name, [row.name for row in one.rows]) for one in groups] == [
            ("p", ["d", "b"]),
            ("p", ["a"]),
            ("q", ["c"]),
        ]
        assert groups[0].counts == "closes flows: 1 of 2 mutants noticed"

    def test_the_scale_is_of_round_times_that_the_day_has(self, tmp_path):
        """Four steps that divide what was noticed; each cell has the step of its time."""
        times = [100, 900, 1_900, 2_900, 4_900, 7_900, 29_000, 60_000]
        lines = [
            line(f"m{n}", detectors=[detector("StorefrontDrops", True, ms)], position=n)
            for n, ms in enumerate(times)
        ]
        found = matrix_of(told(tmp_path, *lines), {})

        assert [words for _, words in found.legend] == [
            "up to 2 s",
            "up to 5 s",
            "up to 30 s",
            "longer",
        ]
        assert [row.cells[0].kind for row in found.groups[0].rows] == [
            *("t1", "t1", "t1", "t2", "t2", "t3", "t3", "t4")
        ]

    def test_one_time_for_all_is_one_step(self, tmp_path):
        """No scale is made up where there is nothing to tell apart."""
        assert [one[0] for one in matrix_of(told(tmp_path, line()), {}).legend] == ["t1"]

    def test_many_detectors_are_counted(self, tmp_path):
        """The table has its limits, and says so."""
        lines = line(detectors=[detector(f"d{n}", n == 0) for n in range(MOST_COLUMNS + 5)])
        found = matrix_of(told(tmp_path, lines), {})

        assert len(found.columns) == MOST_COLUMNS
        assert "more detectors are left out" in found.notes[0]

    def test_it_is_a_table_with_headers(self, tmp_path):
        """Columns, rows and groups have headers with their scope, and rows lead to their fold."""
        page = document("html", told(tmp_path, *small()))
        table = page[page.index('id="matrix-table"') : page.index('id="detectors"')]

        assert table.count('<th scope="col">') == 6
        assert table.count('<th scope="rowgroup"') == 1
        assert re.findall(r'<th scope="row">.*?href="#(m\d)"', table) == ["m1", "m2"]


class TestTrend:
    """How the scores went: the same plan, the same places."""

    def day(self, history: Path, name: str, *lines: dict[str, Any], plan: str = "pets") -> None:
        for one in lines:
            one |= {"day": name, "ended": f"2026-11-{name}T10:00:00+00:00"}
        History(history).add([parse(json.dumps(one)) for one in lines], plan)

    def test_the_days_before_are_told_and_drawn(self, tmp_path):
        """Up to this day, the newest last; in words what changed since the last one."""
        history = tmp_path / "h"
        self.day(history, "01", line("a"), line("b"))
        self.day(history, "02", line("a"), line("b", "survived"), line("c", "survived"))
        self.day(history, "30", line("a"))
        self.day(history, "03", line("a"), plan="another")

        found = told(tmp_path, line("a"), line("b", "survived"), history=history)
        view = view_of(found)

        assert [one.day for one in found.past.points] == ["01", "02", DAY]
        assert trend_told("availability", found.past.points).startswith(
            "▲ 17 points since 2026-11-02"
        )
        trend = view.figures[0].trend
        assert trend is not None
        assert trend.said.endswith("the oldest first: 100 %, 33 %, 50 %.")
        assert len(trend.dots) == 3
        assert "not in the history" in view.history_note
        assert trend.said in document("html", found)

    def test_a_day_that_lacks_a_place_is_not_compared(self, tmp_path):
        """It is left out, and counted."""
        history = tmp_path / "h"
        other = {"shard": "u1/shop", "place": line()["place"] | {"namespace": "shop"}}
        self.day(history, "01", line("a"))
        self.day(history, "02", line("a"), line("b", **other))

        found = told(tmp_path, line("a"), line("b", "survived", **other), history=history)

        assert [one.day for one in found.past.points] == ["02", DAY]
        assert found.past.left_out == 1

    def test_what_used_to_be_noticed_is_said_at_the_head_and_at_the_survivor(self, tmp_path):
        """The day's code is that of a regression, as `gameday run` ends."""
        history = tmp_path / "h"
        self.day(history, "01", line("a"), line("b"))
        now = [line("a"), line("b", "survived")]
        History(history).add([parse(json.dumps(one)) for one in now], "pets")

        found = told(tmp_path, *now, history=history)

        assert (found.code, head_of(found).word) == (4, "NOTICED NO MORE")
        (survivor,) = view_of(found).survivors
        assert survivor.late == "It used to be noticed: on day 01 by StorefrontDrops."

    def test_without_a_history_there_is_no_trend_and_it_says_so(self, tmp_path):
        """A file that is not there yet is none."""
        view = view_of(told(tmp_path, line(), history=tmp_path / "none"))

        assert view.figures[0].trend is None
        assert view.history_note.startswith("There is no trend")


class TestPlaces:
    """What was simulated is called so; a cluster is its UID."""

    def test_a_line_cannot_give_itself_another_place(self):
        """Of the lab it is the lab, whatever its label says; a cluster cannot be called the lab."""
        lab = result(place={"kind": "lab", "label": "cluster prod"})
        real = result(place={"kind": "cluster", "label": "LAB (simulated)", "context": "prod"})

        assert place_label(lab) == "LAB (simulated)"
        assert place_label(real) == "cluster prod"

    def test_clusters_of_one_name_are_told_apart(self):
        """In several clusters the context may be called the same."""
        places = [{"kind": "cluster", "context": "in-cluster", "uid": uid} for uid in ("u1", "u2")]

        assert labels_of([result(place=one) for one in places]) == [
            "cluster in-cluster (UID u1)",
            "cluster in-cluster (UID u2)",
        ]


class TestMarkdown:
    """Short, for a pull request."""

    def test_it_begins_with_the_place_and_then_the_survivors(self, tmp_path):
        """The scores with their intervals, then what nobody noticed; the rest is folded."""
        text = document("md", told(tmp_path, *small()))

        assert text.startswith("**LAB (simulated)**")
        assert text.index("port-off-by-one") < text.index("<details>")
        assert "| availability | **50 % (9 to 91 %)** | 1 of 2 faults that close flows" in text
        assert "**UNHEARD:**" in text
        assert "rule-emptied" not in text
        assert "the pods were not there" in text

    def test_it_fits_a_comment(self, tmp_path):
        """GitHub takes 65,536 characters; two thousand survivors with long names are counted."""
        long = "x" * 300
        lines = [
            line(f"{long}{n}", "survived", position=n, mistake=long, signals=ROSE, why=f"{long}{n}")
            for n in range(500)
        ]
        lines += [line(f"u{n}", "unknown", why=f"{n}{long}") for n in range(500)]
        text = document("md", told(tmp_path, *lines))

        assert len(text) < 60_000
        assert "485 more survivors" in text


class TestJunit:
    """One case a mutant, and one for the day."""

    def test_survivors_fail_unknown_ones_are_skipped_and_the_day_fails(self, tmp_path):
        """As CI shows what is skipped as green, the day as a whole has a case of its own."""
        root = ET.fromstring(document("junit", told(tmp_path, *small())))
        cases = {one.get("name"): [child.tag for child in one] for one in root.iter("testcase")}

        whole, suite = root
        assert "failure" in cases.pop("the day as a whole")
        assert [tags[0] for tags in cases.values()] == ["system-out", "failure", "skipped"]
        assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
        assert (whole.get("failures"), whole.get("errors")) == ("1", "0")

    def test_what_was_not_put_back_is_an_error(self, tmp_path):
        """Also when somebody noticed it."""
        root = ET.fromstring(document("junit", told(tmp_path, line(restored=False))))

        assert [one.get("errors") for one in root] == ["1", "1"]


class TestCommand:
    """`acns-chaos gameday report`."""

    def run(self, *arguments: object, **environ: str) -> Any:
        given = ["gameday", "report", *map(str, arguments)]
        return CliRunner(env={"ACNS_CHAOS_HISTORY": "", **environ}).invoke(main, given)

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return make_day(tmp_path / "day", list(small()), journals=False)

    @pytest.mark.parametrize(
        ("name", "start"),
        [
            ("out.html", "<!DOCTYPE html>"),
            ("out.md", "**LAB (simulated)**"),
            ("out.xml", "<?xml"),
            ("out.json", "{"),
        ],
    )
    def test_the_suffix_says_what_is_written(self, folder, tmp_path, name, start):
        """And the exit code says only whether it could be written."""
        done = self.run(folder, "-o", tmp_path / name, XDG_STATE_HOME=str(tmp_path))

        assert (done.exit_code, done.output) == (0, "")
        assert (tmp_path / name).read_text("utf-8").startswith(start)

    def test_json_is_what_score_json_holds(self, folder, tmp_path):
        """With its schema."""
        done = self.run(folder, "--format", "json", XDG_STATE_HOME=str(tmp_path))

        found = json.loads(done.stdout)
        assert found["schema"] == 1
        assert found == read([folder]).day.as_json()

    def test_json_is_as_its_schema_says(self, tmp_path):
        """Of a whole day, and of one of which nothing is known."""
        shipped = resources.files("acns_chaos.gameday").joinpath("score_schema.json")
        schema = json.loads(shipped.read_text("utf-8"))
        mute = [detector("StorefrontDrops", None) | {"why": "it cannot be asked"}]
        undecided = line("m2", "unknown", bit=True, detectors=mute, restored=False)
        for number, lines in enumerate((results(20), [line("m1", "unknown"), undecided])):
            folder = make_day(tmp_path / str(number), lines)
            own = {"experiment": "1. x.json", "outcome": "HELD", "sentence": "It held."}
            (folder / "experiments.jsonl").write_text(json.dumps(own) + "\n")
            found = read([folder])
            assert faults_of(json.loads(document("json", found)), schema, schema) == []

    def test_without_a_file_it_is_markdown_on_the_terminal(self, folder, tmp_path):
        """For a pull request's comment, by a pipe."""
        assert "# Game day of pets" in self.run(folder, XDG_STATE_HOME=str(tmp_path)).stdout

    def test_mistakes_are_one_sentence_and_nothing_is_overwritten(self, folder, tmp_path):
        """No history where one was named, no folder, and a file that it reads from."""
        before = (folder / "results.jsonl").read_bytes()
        for arguments in (
            (folder, "--history", tmp_path / "none"),
            (tmp_path / "nowhere",),
            (folder, "-o", folder / "results.jsonl"),
            (folder, "-o", tmp_path / "no" / "out.html"),
        ):
            done = self.run(*arguments)
            assert done.exit_code == 2
            assert done.stderr.count("\n") == 1
        assert (folder / "results.jsonl").read_bytes() == before

    def test_a_day_ends_with_its_files(self, folder):
        """What `gameday run` calls: page, Markdown and XML in the day's folder, each whole."""
        write_report(folder)

        assert {"report.html", "report.md", "junit.xml"} < {one.name for one in folder.iterdir()}
        assert not (folder / "score.json").exists()
        with pytest.raises(GameDayError, match="There is no report as 'pdf'"):
            write_report(folder, ["pdf"])
