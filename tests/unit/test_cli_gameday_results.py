"""The commands that look at results: score, merge, history; their codes and their sentences."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from acns_chaos.cli import main
from acns_chaos.gameday.results import parse
from tests.unit.gameday_results import DAY, detector, document
from tests.unit.hostile import MOMENTS

ROSE = [{"name": "hubble_drop_total pets/store-front ingress", "rose": True, "by": 4}]
OPENED = {
    "configuration": {"namespace": "pets"},
    "method": [
        {
            "provider": {
                "func": "read_connection",
                "arguments": {
                    "workload": "stranger",
                    "service": "rabbitmq",
                    "port": 5672,
                    "expect": "OPEN",
                },
            }
        }
    ],
}
PLAN = {
    "day": DAY,
    "place": {"kind": "lab", "uid": "u1", "label": "LAB (simulated)"},
    "plan": {
        "name": "pets",
        "detectors": [{"alert": "StorefrontDrops", "for": "availability"}],
        "minimum": {"availability": 0.5},
    },
    "selection": [],
}


def run(*arguments: object, **environ: str) -> Result:
    """Call the command as a shell would."""
    given = ["gameday", *(str(one) for one in arguments)]
    return CliRunner(env={"ACNS_CHAOS_HISTORY": "", **environ}).invoke(main, given)


def day(folder: Path, *results: dict[str, Any], plan: Any = PLAN) -> Path:
    """Make the folder of a day."""
    (folder / "experiments").mkdir(parents=True)
    (folder / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in results))
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "experiments" / "001-m1.json").write_text(json.dumps(OPENED))
    return folder


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """Return the folder of a day: one killed, two survivors, one unknown."""
    return day(
        tmp_path / "day",
        document("m1"),
        document("m2", "survived", signals=ROSE, position=2),
        document("m3", "survived", position=3, **{"class": "opens"}),
        document("m4", "unknown", position=4),
    )


UNKNOWN = (
    "UNKNOWN: 1 of 4 mutants were not run, or in a run that proves nothing; they are in no score."
)


def test_kills_by_the_runs_own_packets_are_counted(tmp_path: Path) -> None:
    """An alert that only the witnesses set off notices a mistake once somebody uses the flow."""
    lines = (document("m1", others=False), document("m2", others=True), document("m3", others=None))
    told = run("score", day(tmp_path / "day", *lines))
    assert (
        "KNOCKED: 1 mutant was noticed by alerts alone, and nobody but the run itself is known to "
        "have used the flow by then: they notice once it is used."
    ) in told.stdout.splitlines()


def test_the_score_is_printed_with_survivors_and_suggestions(done: Path) -> None:
    """Read aloud: how many, by whom, what nobody noticed and what would have."""
    told = run("score", done)
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    assert lines[0] == (
        f"Day {DAY} of pets in LAB (simulated): 4 mutants, 1 killed, 2 survived, "
        "0 undecided, 1 unknown"
    )
    assert lines[2].split() == [
        *("DIRECTION", "KILLED", "SURVIVED", "UNDECIDED", "UNKNOWN", "SCORE", "(95", "%)"),
        "UNHEARD",
    ]
    assert lines[3].split() == [
        *("availability", "1", "1", "0", "1", "50", "%", "(9", "to", "91", "%)", "1")
    ]
    assert lines[4].split() == [
        "security",
        "0",
        "1",
        "0",
        "0",
        "0",
        "%",
        "(0",
        "to",
        "79",
        "%)",
        "0",
    ]
    assert lines[5:7] == [
        UNKNOWN,
        "UNHEARD: of 1 survivor the signal was there, and nothing was listening.",
    ]
    assert (
        "    for availability: alert PolicyDrops_Pets_StoreFront_Ingress: hubble_drop_total"
        in told.stdout
    )
    assert (
        "    for security: claim pets-stranger-is-kept-from-pets-rabbitmq-on-port-5672: The"
        in told.stdout
    )
    assert "  the fault was not seen in force: m4" in lines


def test_the_score_says_when_a_minimum_is_missed(tmp_path: Path) -> None:
    """In the last line, and by the exit code."""
    folder = day(tmp_path / "day", document("m1", "survived"))
    told = run("score", folder)
    assert told.exit_code == 1
    assert told.stdout.splitlines()[-1] == (
        "The score for availability is 0.0%, and must be 50.0%: 1 of 1 survived."
    )


def test_what_was_selected_and_not_run_is_unknown_and_said(tmp_path: Path) -> None:
    """A day that ended early is no smaller day."""
    chosen = [{"mutant": name, "policy": "pets/front", "class": "opens"} for name in ("m1", "m2")]
    folder = day(tmp_path / "day", document("m1"), plan=PLAN | {"selection": chosen})
    told = run("score", folder)
    assert told.exit_code == 3
    assert "  it was selected and not run: m2" in told.stdout.splitlines()


def test_something_that_was_not_restored_has_its_own_code(tmp_path: Path) -> None:
    """Whatever else there is to say."""
    folder = day(tmp_path / "day", document("m1", outcome="NOT_RESTORED", restored=False))
    told = run("score", folder)
    assert told.exit_code == 7
    assert "NOT RESTORED: m1 of u1/pets; see journals/001-m1.json." in told.stdout


def test_the_json_holds_everything(done: Path) -> None:
    """What score.json is made of."""
    told = json.loads(run("score", done, "--json").stdout)
    assert told["directions"]["availability"]["score"] == 0.5
    assert told["plan"] == "pets"
    first, second = told["survivors"]
    assert (first["mutant"], first["signals"]) == ("m2", [ROSE[0]["name"]])
    assert second["suggestions"][0]["kind"] == "claim"
    assert told["unknown"][0]["why"] == "the fault was not seen in force"


def test_suggestions_are_written_as_files(done: Path, tmp_path: Path) -> None:
    """Rules for one's own scrapes, and claims to run."""
    told = run("score", done, "--suggestions", tmp_path / "more", "--scrape", 15)
    assert "Wrote 2 files" in told.stderr
    rules = yaml.safe_load((tmp_path / "more" / "suggested-rules.yaml").read_text())
    assert "offset 1m" in rules["groups"][0]["rules"][0]["expr"]
    (claim,) = (tmp_path / "more").glob("*.json")
    assert json.loads(claim.read_text())["extensions"][0]["claim"] == "closed"


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret.json", "experiments/link.json"])
def test_an_experiment_outside_of_the_day_is_not_read(tmp_path: Path, name: str) -> None:
    """A result may name any file."""
    folder = day(
        tmp_path / "day", document("m1", "survived", experiment=name, **{"class": "opens"})
    )
    (tmp_path / "secret.json").write_text(json.dumps(OPENED))
    (folder / "experiments" / "link.json").symlink_to(tmp_path / "secret.json")
    assert "nothing can be suggested" in run("score", folder).stdout


def test_what_a_result_says_moves_no_cursor(tmp_path: Path) -> None:
    """Escapes in sentences are shown as nothing."""
    evil = document("m1", "unknown", why="\x1b[2J\x1b]0;gone\x07", mistake="\u202egnp")
    told = run("score", day(tmp_path / "day", evil))
    assert told.stdout.isprintable() or all(c.isprintable() or c == "\n" for c in told.stdout)


def test_shards_become_one_day(done: Path, tmp_path: Path) -> None:
    """Given twice and in another order: the same files, and each mutant once."""
    other = day(tmp_path / "other", document("m1", "survived", shard="u1/shop"))
    first = run("merge", done, other, "-o", tmp_path / "a")
    again = run("merge", other, tmp_path / "a", done, done, "-o", tmp_path / "b")
    assert (first.exit_code, again.exit_code) == (1, 1), first.output + again.output
    a, b = ((tmp_path / one / "results.jsonl").read_text() for one in "ab")
    assert a == b
    assert [parse(line).key[1:] for line in a.splitlines()] == [
        *(("u1/pets", f"m{number}") for number in (1, 2, 3, 4)),
        ("u1/shop", "m1"),
    ]
    assert json.loads((tmp_path / "a" / "merged.json").read_text())["results"] == 5
    assert json.loads((tmp_path / "a" / "score.json").read_text())["mutants"] == 5
    assert "results were there more than once, and counted once" in again.stdout
    # The experiments are where the shard left them.
    assert "claim pets-stranger-is-kept-from" in again.stdout


def test_a_missing_shard_is_named(done: Path, tmp_path: Path) -> None:
    """By the list that is given; the wish stays with the united results."""
    expect = tmp_path / "shards.txt"
    expect.write_bytes(b"u1/pets\n\nu2/pets\n\xff\x1b[2J\n")
    told = run("merge", done, "-o", tmp_path / "a", "--expect", expect)
    assert told.exit_code == 3
    assert "Without any result (2): u2/pets, \ufffd [2J" in told.stdout.splitlines()
    assert run("score", tmp_path / "a").exit_code == 3


def test_nothing_is_written_over(done: Path) -> None:
    """A folder that holds something is refused."""
    told = run("merge", done, "-o", done)
    assert told.exit_code == 2
    assert "is not empty: name a folder that is, or a new one." in told.stderr


def test_a_regression_fails_the_union_and_shows_in_the_history(tmp_path: Path) -> None:
    """What used to be noticed and is not any more."""
    store = tmp_path / "h.sqlite"
    own = PLAN | {"plan": PLAN["plan"] | {"minimum": {}}}  # type: ignore[operator]
    later = {"day": "d2", "ended": "2026-11-24T10:00:00+00:00"}
    before = day(tmp_path / "1", document("m1"), document("m2"), plan=own)
    after = day(
        tmp_path / "2", document("m1", "survived", **later), document("m2", **later), plan=own
    )
    assert run("merge", before, "-o", tmp_path / "a", "--history", store).exit_code == 0
    told = run("merge", after, "-o", tmp_path / "b", ACNS_CHAOS_HISTORY=str(store))
    assert told.exit_code == 4, told.output
    lost = "Regression: m1 survived (availability); on 20261123T101500-ab12 it was noticed by"
    assert f"{lost} StorefrontDrops." in told.stdout

    shown = run("history", "--history", store)
    assert shown.exit_code == 1
    lines = shown.stdout.splitlines()
    assert lines[0] == "pets in lab/pets"
    assert lines[1].split() == ["DAY", "ENDED", "AVAILABILITY", "SECURITY", "UNDECIDED", "UNKNOWN"]
    assert [one.split()[0] for one in lines[2:4]] == [DAY, "d2"]
    assert lines[2].split()[3:] == ["100", "%", "(34", "to", "100", "%)", "-", "0/0", "0/0"]
    assert lines[4].startswith(lost)
    told_json = json.loads(run("history", "--history", store, "--json").stdout)
    assert [one["direction"] for one in told_json["regressions"]] == ["availability"]
    assert {one["mutant"] for one in told_json["mutants"]} == {"m1", "m2"}


def test_a_day_by_the_name_of_another_is_refused_by_the_history(tmp_path: Path) -> None:
    """What it says survived would be dropped, and nobody told."""
    place = {"kind": "cluster", "label": "c", "context": "c", "uid": "u1", "namespace": "pets"}
    store = tmp_path / "h.sqlite"
    before = day(tmp_path / "before", document("m1", place=place))
    ended = "2026-11-24T10:15:04+00:00"
    after = day(tmp_path / "after", document("m1", "survived", place=place, ended=ended))
    assert run("merge", before, "-o", tmp_path / "a", "--history", store).exit_code == 0
    told = run("merge", after, "-o", tmp_path / "b", "--history", store)
    assert told.exit_code == 2
    assert f"another result of m1 in u1/pets on day {DAY}; nothing was added" in told.stderr
    assert run("merge", before, "-o", tmp_path / "c", "--history", store).exit_code == 0


@pytest.mark.parametrize(("more", "code"), [({}, 2), ({"restored": False}, 7)])
def test_a_broken_history_hides_no_score(tmp_path: Path, more: dict[str, Any], code: int) -> None:
    """What was united is told all the same, and 7 stays 7."""
    store = tmp_path / "h.sqlite"
    store.write_text("not a database, by far")
    told = run("merge", day(tmp_path / "d", document("m1", **more)), "-o", tmp_path / "a")
    assert told.exit_code == (7 if more else 0)
    told = run("merge", tmp_path / "d", "-o", tmp_path / "b", "--history", store)
    assert told.exit_code == code
    assert "1 mutants, 1 killed" in told.stdout
    assert "Failed: " in told.stderr


@pytest.mark.parametrize("instant", MOMENTS[:2])
def test_a_date_that_nobody_can_mean_leaves_the_history_usable(
    tmp_path: Path, instant: str
) -> None:
    """It is told as none in every report, and the history opens afterwards."""
    ends = {"started": instant, "ended": instant}
    made = day(tmp_path / "day", document("m1", **ends), document("m2", "unknown", **ends))
    store = tmp_path / "h.sqlite"
    assert run("merge", made, "-o", tmp_path / "a", "--history", store).exit_code == 0
    for form in ("html", "md", "junit", "json"):
        assert run("report", made, "--format", form, "--history", store).exit_code == 0
    shown, as_json = (run("history", "--history", store, *more) for more in ((), ("--json",)))
    assert "Unknown: m1; killed at an unknown time\nUnknown: m2; never judged" in shown.stdout
    assert "1970" not in shown.stdout + as_json.stdout


def test_an_empty_history_says_so(tmp_path: Path) -> None:
    """No error, and no file."""
    told = run("history", "--history", tmp_path / "h.sqlite", "--plan", "pets")
    assert told.exit_code == 0
    assert told.stdout == f"No game day is in {tmp_path / 'h.sqlite'} of that plan or place.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["score", "merge"])
def test_bad_input_is_one_sentence(tmp_path: Path, command: str) -> None:
    """Never a traceback."""
    more = ["-o", tmp_path / "out"] if command == "merge" else []
    told = run(command, tmp_path / "none", *more)
    assert told.exit_code == 2
    assert told.stderr == (
        f"Error: {tmp_path / 'none'} does not exist: name the folder of a game day.\n"
    )


FIRING, DOWN = "it was firing before the fault", "it cannot be asked: Prometheus is down"


def mute(mutant: str, position: int, why: str) -> dict[str, Any]:
    """A mutant of which its detector could not tell."""
    told = [detector("StorefrontDrops", None) | {"why": why}]
    cannot = f"whether it was noticed cannot be told: StorefrontDrops: {why}"
    more = {"bit": True, "outcome": "INCONCLUSIVE", "why": cannot, "position": position}
    return document(mutant, "unknown", detectors=told, **more)


def test_a_detector_that_could_not_tell_is_named_with_its_reasons(tmp_path: Path) -> None:
    """Each reason with its count; what it could not tell of counts as not noticed, and fails."""
    lines = [document("m1"), mute("m2", 2, DOWN), mute("m3", 3, FIRING), mute("m4", 4, DOWN)]
    told = run("score", day(tmp_path / "day", *lines))
    said = told.stdout.splitlines()
    assert told.exit_code == 1
    assert f"StorefrontDrops could not tell of 3: {DOWN} (2); {FIRING} (1)." in said
    assert (
        "UNDECIDED: of 3 of 4 mutants nobody can tell whether they were noticed; in the score "
        "they were not."
    ) in said
    assert "Undecided (3), in the score as not noticed:" in said
    cannot = "  whether it was noticed cannot be told: StorefrontDrops:"
    assert f"{cannot} {DOWN}: m2, m4" in said
    one = run("score", day(tmp_path / "one", mute("m1", 1, DOWN)))
    assert f"StorefrontDrops could not tell of 1: {DOWN}." in one.stdout.splitlines()


def test_what_is_undecided_is_no_regression(tmp_path: Path) -> None:
    """Noticed the last time, and nobody can tell today: the trend falls, and nothing is lost."""
    store = tmp_path / "h.sqlite"
    plan = PLAN | {"plan": PLAN["plan"] | {"minimum": {}}}  # type: ignore[operator]
    later = {"day": "d2", "ended": "2026-11-24T10:00:00+00:00"}
    before = day(tmp_path / "1", document("m1"), document("m2"), plan=plan)
    unclear = mute("m1", 1, DOWN) | later
    after = day(tmp_path / "2", unclear, document("m2", **later), plan=plan | {"day": "d2"})
    for folder, out in ((before, "a"), (after, "b")):
        done = run("merge", folder, "-o", tmp_path / out, "--history", store)
        assert done.exit_code == 0, done.output
    shown = run("history", "--history", store)
    assert shown.exit_code == 0
    told_day = shown.stdout.splitlines()[3].split()
    assert (told_day[3:5], told_day[-2:]) == (["50", "%"], ["1/0", "0/0"])


# ---------------------------------------------------------------------- a plan's own experiments


def own(name: str = "1. x.json", outcome: str = "HELD", **changes: Any) -> dict[str, Any]:
    """A line of what became of an experiment that the plan names."""
    ended = "2026-11-23T10:14:00+00:00"
    told = {"schema": 1, "day": DAY, "experiment": name, "outcome": outcome, "ended": ended}
    return told | {"sentence": "So it was.", "journal": "journals/own-001.json"} | changes


def with_own(folder: Path, *lines: dict[str, Any], names: Any = ("1. x.json",)) -> Path:
    """Add the plan's own experiments to the folder of a day."""
    plan = json.loads((folder / "plan.json").read_text())
    plan["experiments"] = [{"name": name, "namespace": "pets"} for name in names]
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "experiments.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return folder


@pytest.mark.parametrize(
    ("lines", "code", "said"),
    [
        ([own()], 0, "Experiment 1. x.json: HELD: So it was."),
        ([own(outcome="DEVIATED")], 1, "Experiment 1. x.json: DEVIATED: So it was."),
        ([], 3, "Experiment 1. x.json: it was selected and not run"),
        (
            [own(outcome="NOT_RESTORED")],
            7,
            "NOT RESTORED: 1. x.json of u1/pets; see journals/own-001.json.",
        ),
    ],
)
def test_the_plans_own_experiments_decide_the_code_everywhere(
    tmp_path: Path, lines: list[dict[str, Any]], code: int, said: str
) -> None:
    """The same for score, for merge, and for what was united before."""
    folder = with_own(day(tmp_path / "day", document("m1")), *lines)
    told = [
        run("score", folder),
        run("merge", folder, folder, "-o", tmp_path / "a"),
        run("merge", tmp_path / "a", "-o", tmp_path / "b"),
        run("score", tmp_path / "b"),
    ]
    assert [one.exit_code for one in told] == [code] * 4, told[0].output
    assert all(said in one.stdout.splitlines() for one in told)


def test_a_plan_of_experiments_alone_can_succeed(tmp_path: Path) -> None:
    """It has no results, and none was to be had; one that asks for mutants has to have some."""
    folder = with_own(day(tmp_path / "day"), own())
    (folder / "results.jsonl").unlink()
    plan = json.loads((folder / "plan.json").read_text())
    plan["plan"].pop("minimum")
    (folder / "plan.json").write_text(json.dumps(plan))
    told = run("merge", tmp_path, "-o", tmp_path / "a")
    assert told.exit_code == 0, told.output
    assert run("score", tmp_path / "a").exit_code == 0
    plan["plan"]["mutants"] = {"most": 3}
    (folder / "plan.json").write_text(json.dumps(plan))
    told = run("score", folder)
    assert told.exit_code == 1
    assert "No mutant was judged: none was run." in told.stdout.splitlines()


def test_a_run_that_is_not_counted_and_was_not_restored_has_the_code_of_it(tmp_path: Path) -> None:
    """Its namespace is broken all the same; the files say so, also when they are united again."""
    late = {"ended": "2026-11-23T11:00:00+00:00", "outcome": "NOT_RESTORED", "restored": False}
    first = day(tmp_path / "1", document("m1"))
    again = day(tmp_path / "2", document("m1", "unknown", **late))
    told = run("merge", first, again, "-o", tmp_path / "a")
    assert told.exit_code == 7
    assert "NOT RESTORED: m1 of u1/pets; see journals/001-m1.json." in told.stdout.splitlines()
    (other,) = json.loads((tmp_path / "a" / "merged.json").read_text())["differing"]
    assert (other["outcome"], other["restored"]) == ("NOT_RESTORED", False)
    (left,) = json.loads((tmp_path / "a" / "score.json").read_text())["not_restored"]
    assert left["name"] == "m1"
    assert len((tmp_path / "a" / "results.jsonl").read_text().splitlines()) == 1
    assert run("score", tmp_path / "a").exit_code == 7


def test_a_day_is_named_among_others_of_other_labs_and_plans(tmp_path: Path) -> None:
    """What the other day's plan expects is not missing, and its version does not matter."""
    for name, uid, least in (("dA", "ua", 0.5), ("dB", "ub", 0.6)):
        shard = f"{uid}/pets"
        chosen = {"mutant": "m1", "policy": "pets/front", "class": "closes", "shard": shard}
        plan = PLAN | {"day": name, "selection": [chosen], "place": {"kind": "lab", "uid": uid}}
        plan |= {"plan": PLAN["plan"] | {"minimum": {"availability": least}}}  # type: ignore[operator]
        day(tmp_path / "days" / name, document("m1", day=name, shard=shard), plan=plan)
    told = run("score", tmp_path / "days", "--day", "dA")
    assert told.exit_code == 0, told.output
    told = run("score", tmp_path / "days")
    assert told.exit_code == 2
    assert "of 2 days, dA, dB: name one with --day" in told.stderr
