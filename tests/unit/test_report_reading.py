"""Reading journals for a report: what is broken is said, what is certain is told, nothing twice."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.evidence import journal as journals
from acns_chaos.evidence.signature import SCHEMA, sign
from acns_chaos.report.markdown import markdown
from acns_chaos.report.reading import ELSEWHERE, IN_PART, read, require_cluster
from acns_chaos.report.salvage import salvaged
from tests.tiers import examples
from tests.unit.evidence_journals import POLICY, held, run_of, signed

REAL = sorted((Path(__file__).parents[1] / "data" / "journals").glob("*.json"))
INJECT = "break the policy"


def whole(run: str = "run-1", title: str = "Does it hold?", **target: str) -> dict:
    """Return a sealed journal."""
    journal = held()
    journal["acns_chaos"]["run"] = run
    journal["acns_chaos"]["target"].update(target)
    journal["acns_chaos"]["schema"] = SCHEMA
    journal["experiment"]["title"] = title
    fault = journal["acns_chaos"]["faults"][0]
    keys = ("id", "policy", "operator", "submitted", "accepted", "realised", "predicted")
    run_of(journal, INJECT)["output"] = {key: fault[key] for key in keys} | {"restored": None}
    return signed(journal)


def written(journal: dict) -> str:
    """Return a journal as the host writes it, our section last."""
    section = journal.pop("acns_chaos")
    return json.dumps({**journal, "acns_chaos": section}, indent=2)


@pytest.fixture(scope="module")
def text() -> str:
    """Return a journal's file."""
    return written(whole())


@pytest.fixture
def put(tmp_path):
    """Return how to write a file; it returns its path."""

    def put(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return put


def upto(text: str, mark: str) -> str:
    """Return a file that was cut off right behind the last place where something stands."""
    return text[: text.rindex(mark) + len(mark)]


def test_whole(put, text):
    """A whole journal is read without a word."""
    found = read([put("a.json", text)])

    assert len(found.journals) == 1
    assert found.problems == ()
    assert found.code == 0
    assert [one.partial for one in found.stories()] == [""]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty: the run died before the host wrote its journal; check by hand"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "is not UTF-8 text, so it is not a journal"),
        (b"\xff\xfe{\x00}\x00", "is not UTF-8 text, so it is not a journal"),
        ('{"experiment": {', "is cut off: the host stopped while it wrote; check by hand"),
        ('{"a": 1} {"b": 2}', "is not JSON"),
        ('{"a": }', "is not JSON"),
        ("<testsuites/>", "is not JSON"),
        ("[]", "is not a journal: a JSON object was expected"),
        ('{"title": "x", "method": []}', "is an experiment, not a journal: run it with"),
        ('{"schema": 1, "stories": []}', "is a report of acns-chaos, not a journal: name the"),
        (
            '{"metrics": {"http_reqs": 1}}',
            "is not a journal of Chaos Toolkit: it holds no run. Name the file that",
        ),
        (
            '{"experiment": {}, "run": ' + '{"a":[' * 300 + "]}" * 300 + "}",
            "is nested too deeply to be a journal",
        ),
    ],
)
def test_no_journal(put, text, content, sentence):
    """What is no journal is left out with a sentence that names it; the others are told."""
    broken, good = put("broken.json", content), put("good.json", text)
    found = read([broken, good])

    assert found.sources == (good,)
    assert [one.effect for one in found.problems] == ["left out"]
    assert str(found.problems[0]).startswith(f"{broken} {sentence}")
    assert found.code == IN_PART


def test_missing_and_directory(tmp_path):
    """A path that leads to no file is said, with what to do."""
    found = read([str(tmp_path / "none.json"), str(tmp_path), "\0"])

    assert found.journals == ()
    assert "check the path" in str(found.problems[0])
    assert "cannot be read: Is a directory" in str(found.problems[1])
    assert "cannot be read" in str(found.problems[2])


def test_too_large(put, monkeypatch, text):
    """What no run writes is not read into memory to the end."""
    monkeypatch.setattr(journals, "LARGEST", 1 << 10)
    (problem,) = read([put("large.json", text)]).problems

    assert "is larger than" in str(problem)
    assert "which no run writes: name a journal." in str(problem)


def test_cut_off_after_the_fault(put, text):
    """Of a file that ends before a fault's restore, the target and what may stand are told."""
    path = put("cut.json", upto(text, '"realised_by"'))
    found = read([path])
    (story,) = found.stories()

    assert found.cut_off == (True,)
    assert found.code == IN_PART
    assert str(found.problems[0]).startswith(f"{path} is cut off: the host stopped while it wrote")
    assert "(LAB (simulated))" in str(found.problems[0])
    assert f"{POLICY} (ingress-from-nobody) may have been left" in str(found.problems[0])
    assert story.verdict.outcome == "INCONCLUSIVE"
    assert story.verdict.sentence == (
        "In the lab: the journal is cut off: the host stopped while it wrote."
    )
    assert story.is_back is None
    assert story.answers.back[0].startswith("Unknown: the journal is cut off")
    assert story.changes[0].closed == ("world -> pets/store-front:8080/TCP",)


def test_cut_off_of_a_cluster(put):
    """At a cluster the sentence says which command puts the policy back."""
    cut = upto(written(whole(kind="cluster", context="aks-prod")), '"realised_by"')
    (problem,) = read([put("cut.json", cut)]).problems

    assert "(cluster aks-prod)" in str(problem)
    assert f"{POLICY} (ingress-from-nobody) may still stand" in str(problem)
    assert "run `acns-chaos restore --run run-1 -n pets` against" in str(problem)


def test_a_command_to_paste_is_ours_alone(put):
    """The id and the namespace of a journal go into a command only when a shell reads no more."""
    target = {"kind": "cluster", "context": "aks", "namespace": "$(id)"}
    cut = upto(written(whole("x; reboot", **target)), '"realised_by"')
    (problem,) = read([put("cut.json", cut)]).problems

    assert "run `acns-chaos restore --list` against that cluster" in str(problem)
    assert "reboot" not in str(problem)


def test_cut_off_before_our_section(put, text):
    """The activities that made faults returned their records: they tell what may stand."""
    (story,) = read([put("cut.json", text[: text.index('"acns_chaos": {')])]).stories()

    assert story.place.label == "target unknown"
    assert [one.policy for one in story.changes] == [POLICY]
    assert "may still stand" in story.answers.back[1]
    assert f"(the run says that it restored {POLICY}; no hash shows it)" in story.answers.back[1]


def test_cut_off_before_any_fault(put, text):
    """A file that names no fault proves that there was none only when it is whole."""
    (story,) = read([put("cut.json", text[: text.index('"run": [') + 20])]).stories()

    assert story.changes == ()
    assert all(answer[0].startswith("Unknown") for answer in vars_of(story.answers))
    assert "names no fault, and there may have been one" in story.verdict.next


def vars_of(answers) -> list[tuple[str, ...]]:
    """Return the answers to all of the reviewer's questions."""
    return [answers.broken, answers.lasted, answers.noticed, answers.unnoticed, answers.back]


def test_cut_off_after_the_restore(put, text):
    """A fault that was put back is not called standing, and others may be missing."""
    (story,) = read(
        [put("cut.json", upto(text, '"probers"' if '"probers"' in text else '"events"'))]
    ).stories()

    assert "shows that the faults it holds were put back" in story.verdict.next
    assert story.verdict.outcome == "INCONCLUSIVE"


def test_a_part_says_no_word_of_what_is_missing(put, text):
    """Silence of a part is not told as "nobody", "none" or "not played"."""
    paths = [put("cut.json", text[: text.index('"acns_chaos": {')])]
    document = markdown(read(paths).stories())

    for said in (
        "No detector noticed",
        "not played",
        "never asked",
        "declares none",
        "no timeline",
    ):
        assert said not in document
    assert "- Everything after the place where the file ends" in document


def certain(part: object, full: object) -> bool:
    """Whether every value of a part stands in the whole, at the same place."""
    if isinstance(part, dict) and isinstance(full, dict):
        return all(key in full and certain(value, full[key]) for key, value in part.items())
    if isinstance(part, list) and isinstance(full, list):
        pairs = zip(part, full, strict=False)
        return len(part) <= len(full) and all(certain(one, other) for one, other in pairs)
    return part == full


@examples(40)
@given(data=st.data())
def test_salvage_invents_nothing(text, data):
    """Wherever a file is cut off, what is salvaged stands in the whole file, word for word."""
    end = data.draw(st.integers(1, len(text) - 2))
    full, part = json.loads(text), salvaged(text[:end])
    if part is None:
        return
    section = part.get("acns_chaos", {})
    fault = full["acns_chaos"]["faults"][0]
    for one in section.pop("faults", []):
        # Not known to be restored is what a returned record says of itself.
        assert certain({key: value for key, value in one.items() if value}, fault)
    assert certain(part, full)


@examples(30)
@given(data=st.data())
def test_any_end_is_a_cut(tmp_path_factory, text, data):
    """A file cut off anywhere is told from one that was damaged, also with NULs behind it."""
    end = data.draw(st.integers(1, len(text) - 2))
    tail = data.draw(st.sampled_from(["", "\n", "\0\0\0"]))
    path = tmp_path_factory.mktemp("cut") / "cut.json"
    path.write_text(text[:end] + tail)
    found = read([str(path)])

    assert "is cut off" in str(found.problems[0])
    assert all(one.verdict.outcome == "INCONCLUSIVE" for one in found.stories())


def test_plain_chaos_toolkit(put):
    """A journal of the host alone is told as far as it goes, and the guard is named."""
    found = read([put("plain.json", '{"experiment": {"title": "x"}, "status": "completed"}')])

    assert found.code == IN_PART
    assert "without a section of ours" in str(found.problems[0])
    assert "acns_chaos.controls.guard" in str(found.problems[0])
    assert found.stories()[0].verdict.outcome == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        (SCHEMA + 1, "was written by a newer acns-chaos (0.1.0, schema"),
        (True, "does not say which version of our section it holds (True)"),
        ("1", "does not say which version of our section it holds (1)"),
        (None, "does not say which version of our section it holds (none)"),
        (0, "does not say which version of our section it holds (0)"),
    ],
)
def test_other_versions(put, schema, sentence):
    """A newer or unnamed version is told as far as it is known, and the report says so."""
    journal = whole()
    journal["acns_chaos"]["schema"] = schema
    sign(journal)
    found = read([put("other.json", json.dumps(journal))])

    assert len(found.journals) == 1
    assert sentence in str(found.problems[0])
    assert found.problems[0].effect == "in part"


def test_the_same_run_counts_once(put, text):
    """Copies of a file, whatever their names and layout, are one run."""
    compact = json.dumps(json.loads(text))
    found = read([put("a.json", text), put("b.json", compact), put("a.json", text)])

    assert len(found.journals) == 1
    assert [one.effect for one in found.problems] == ["none", "none"]
    assert "is the same run as" in str(found.problems[0])
    assert found.code == 0


def test_journals_without_an_id_are_compared(put):
    """Where no id tells runs apart, only equal journals are one."""
    first, other = '{"experiment": {}, "run": [NaN]}', '{"experiment": {}, "run": []}'
    found = read([put("a.json", first), put("b.json", first), put("c.json", other)])

    assert len(found.journals) == 2


def test_a_part_of_a_run_that_is_there(put, text):
    """A file that was cut off adds nothing to the whole one of the same run, with or without id."""
    late, early = text[: text.index('"events"')], text[: text.index('"acns_chaos": {')]
    found = read([put("late.json", late), put("whole.json", text), put("early.json", early)])

    assert found.cut_off == (False,)
    assert [one.effect for one in found.problems] == ["none", "none"]
    assert "is a part of what" in str(found.problems[0])


def test_one_id_with_two_contents_is_refused(put, text):
    """Which of two the run wrote cannot be told: neither is, and the edited one is named."""
    first = put("a.json", text)
    edited = put("b.json", text.replace("Does it hold?", "Did it hold?"))
    third = put("c.json", json.dumps(whole("run-2")))
    found = read([first, edited, third])

    assert found.sources == (third,)
    assert str(found.problems[0]).startswith(
        f"{first} and {edited} both say that they are run run-1, and differ ({edited} does not hold"
    )
    assert "None of them is told" in str(found.problems[0])
    assert found.code == IN_PART


def test_redacted(put, text):
    """With names redacted, neither stories nor sentences hold a path or a name."""
    cut, good = put("secret-cut.json", upto(text, '"realised_by"')), put("secret.json", text)
    edited = put("secret-2.json", text.replace('"run-1"', '"run-2"'))
    found = read([cut, edited, "/secret/none", good], redact=True)
    told = markdown(found.stories(), found.problems) + " ".join(map(str, found.problems))

    assert "journal 1" in told
    assert "There is no journal at journal 3" in told
    for name in ("secret", "allow-store-front-traffic", "lab-pets", "127.0.0.1"):
        assert name not in told


def test_require_cluster():
    """Journals of the cluster that is required pass, whatever their context is called."""
    same = [
        whole("run-1", kind="cluster", context="aks-prod", uid="uid-1"),
        whole("run-2", kind="cluster", context="admin@aks", uid="uid-1"),
    ]

    assert require_cluster(same, " uid-1\n") == ""
    assert ELSEWHERE not in range(10), "the exit codes of `outcome`, `restore` and usage errors"


def edited() -> dict:
    """Return a lab's journal whose target somebody changed by hand."""
    journal = whole()
    journal["acns_chaos"]["target"].update(kind="cluster", context="aks-prod", uid="uid-1")
    return journal


@pytest.mark.parametrize(
    ("journal", "sentence"),
    [
        (
            whole(uid="uid-1"),
            "Run run-1 was in the LAB (simulated); the cluster uid-1 was required",
        ),
        (
            whole(kind="cluster", context="aks-test", uid="uid-2"),
            "Run run-1 was in cluster aks-test, UID uid-2; the cluster uid-1 was required",
        ),
        (whole(kind="moon"), "Where run run-1 was is not known"),
        (whole(kind="cluster", context="aks-prod", uid=""), "Where run run-1 was is not known"),
        (edited(), "Where run run-1 was cannot be relied on, as"),
        ({"experiment": {}}, "Where run without an id was cannot be relied on, as"),
    ],
)
def test_elsewhere(journal, sentence):
    """A journal of the lab, another cluster, none, or an edited one is not of that cluster."""
    good = whole("run-0", kind="cluster", context="aks-prod", uid="uid-1")

    assert require_cluster([good, journal], "uid-1").startswith(sentence)


def test_no_uid_is_no_cluster():
    """An empty variable in CI must not let a lab's journal pass."""
    assert "not nothing" in require_cluster([whole(uid="")], " ")


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_real_journals(path):
    """Journals of real runs are read whole."""
    found = read([str(path)])

    assert found.problems == ()
    assert len(found.journals) == 1
