"""`acns-chaos report`: formats, files, places that are required, and what its exit codes say."""

import json
import os
import stat
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET

import click
import pytest
from click.testing import CliRunner, Result

from acns_chaos.cli import main
from acns_chaos.cli.report import COMMANDS, SUMMARIES, report
from acns_chaos.cli.report.write import CODES
from acns_chaos.report.reading import ELSEWHERE, IN_PART
from tests.unit.evidence_journals import claim, held, signed

TITLE = "Does anyone notice when the storefront is cut off?"


def run(*arguments: object) -> Result:
    """Call the command as a shell would."""
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


def written(folder, name, journal):
    """Write a journal as the host does; returns its path."""
    path = folder / name
    path.write_text(json.dumps(signed(journal)))
    return path


@pytest.fixture
def journal(tmp_path):
    """Return the path of a HELD journal."""
    return written(tmp_path, "journal.json", held())


@pytest.fixture
def other(tmp_path):
    """Return the path of another run's journal."""
    journal = claim()
    journal["acns_chaos"]["run"] = "20260101T000000-0001"
    return written(tmp_path, "claim.json", journal)


class TestFormats:
    """What is written: as asked for, else as the file is called, else Markdown."""

    def test_markdown_to_stdout(self, journal):
        """Without -o and --format it is Markdown."""
        result = run(journal)

        assert result.exit_code == 0
        assert f"# {TITLE}" in result.stdout

    @pytest.mark.parametrize(
        ("name", "begins"),
        [
            ("report.html", "<!DOCTYPE html>"),
            ("REPORT.HTM", "<!DOCTYPE html>"),
            ("report.md", "**"),
            ("report", "**"),
            ("report.json", "{"),
            ("report.xml", "<?xml"),
        ],
    )
    def test_the_suffix_says(self, journal, tmp_path, name, begins):
        """The file's name is enough."""
        result = run(journal, "-o", tmp_path / name)

        assert (result.exit_code, result.output) == (0, "")
        assert (tmp_path / name).read_text("utf-8").startswith(begins)

    def test_a_format_goes_before_the_suffix(self, journal, tmp_path):
        """Whoever names a format gets it."""
        run(journal, "-o", tmp_path / "report.txt", "--format", "html")

        assert (tmp_path / "report.txt").read_text("utf-8").startswith("<!DOCTYPE html>")

    @pytest.mark.parametrize("form", ["html", "md", "json", "junit"])
    def test_every_format_tells_of_every_run(self, journal, other, form):
        """Two journals, two runs, in whatever is written."""
        told = run(journal, other, "--format", form).stdout

        assert TITLE in told
        assert str(claim()["experiment"]["title"]) in told

    def test_json_and_junit_are_well_formed(self, journal):
        """Programs read them."""
        assert len(json.loads(run(journal, "--format", "json").stdout)["stories"]) == 1
        assert ET.fromstring(run(journal, "--format", "junit").stdout).tag == "testsuites"


class TestFiles:
    """A file is written whole or not at all, and never over what must stay."""

    def test_the_same_in_a_file(self, journal, tmp_path):
        """With -o the same report goes to a file, again when it exists; nothing else is left."""
        path = tmp_path / "report.md"
        path.write_text("an older report")
        result = run(journal, "-o", path)

        assert (result.exit_code, result.stdout) == (0, "")
        assert path.read_text(encoding="utf-8") == run(journal).stdout
        assert sorted(one.name for one in tmp_path.iterdir()) == ["journal.json", "report.md"]

    def test_who_may_read_it_stays(self, journal, tmp_path):
        """An older report's permissions are kept; a new one has the usual ones."""
        path, new = tmp_path / "report.md", tmp_path / "new.md"
        path.write_text("")
        path.chmod(0o600)
        run(journal, "-o", path)
        run(journal, "-o", new)
        (usual := tmp_path / "usual").touch()

        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert new.stat().st_mode == usual.stat().st_mode

    def test_a_link_stays_a_link(self, journal, tmp_path):
        """What a link leads to is written."""
        real, link = tmp_path / "real.md", tmp_path / "link.md"
        real.write_text("")
        link.symlink_to(real)
        run(journal, "-o", link)

        assert link.is_symlink()
        assert TITLE in real.read_text("utf-8")

    def test_a_pipe_is_written_to(self, journal, tmp_path):
        """What is no regular file is written directly, and is there afterwards."""
        pipe = tmp_path / "pipe.md"
        os.mkfifo(pipe)
        read = []
        reader = threading.Thread(target=lambda: read.append(pipe.read_text("utf-8")), daemon=True)
        reader.start()
        result = run(journal, "-o", pipe)
        reader.join(10)

        assert result.exit_code == 0
        assert TITLE in read[0]
        assert pipe.is_fifo()

    def test_nothing_is_left_when_writing_fails(self, journal, tmp_path, monkeypatch):
        """A disk that is full leaves the older report and no part of the new one."""
        path = tmp_path / "report.md"
        path.write_text("an older report")

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        result = run(journal, "-o", path)

        assert result.exit_code == 2
        assert f"cannot be written to {path}: No space left on device." in result.stderr
        assert path.read_text() == "an older report"
        assert sorted(one.name for one in tmp_path.iterdir()) == ["journal.json", "report.md"]

    def test_never_over_a_directory(self, journal, tmp_path):
        """A directory is not overwritten."""
        result = run(journal, "-o", tmp_path)

        assert result.exit_code == 2
        assert result.stderr == (
            f"Error: The report cannot be written to {tmp_path}: it is a directory; "
            "name a file in it.\n"
        )

    def test_missing_parent(self, journal, tmp_path):
        """A missing directory is named, not made."""
        result = run(journal, "-o", tmp_path / "out" / "report.md")

        assert result.exit_code == 2
        assert f"there is no directory {tmp_path / 'out'}; make it first" in result.stderr
        assert not (tmp_path / "out").exists()

    def test_never_over_its_own_journal(self, journal):
        """The evidence is not overwritten by its report."""
        before = journal.read_bytes()
        result = run(journal, "-o", journal)

        assert result.exit_code == 2
        assert journal.read_bytes() == before


class TestExitCodes:
    """What a script learns."""

    def test_a_report_that_lacks_a_journal_says_so(self, journal, tmp_path):
        """The rest is written, the problem is in it and on stderr, and the code is 1."""
        path = tmp_path / "report.html"
        result = run(journal, tmp_path / "none.json", "-o", path)

        assert result.exit_code == IN_PART == 1
        assert "There is no journal at" in result.stderr
        assert "There is no journal at" in path.read_text("utf-8")
        assert TITLE in path.read_text("utf-8")

    def test_nothing_is_written_when_nothing_can_be_read(self, tmp_path):
        """Without a journal there is no report."""
        result = run(tmp_path / "none.json", "-o", tmp_path / "report.html")

        assert result.exit_code == 2
        assert result.stderr.startswith("Error: There is no journal at ")
        assert not (tmp_path / "report.html").exists()

    def test_no_journals(self):
        """Without an argument the usage is shown."""
        result = run()

        assert result.exit_code == 2
        assert "Missing argument 'JOURNAL...'" in result.stderr

    def test_the_required_cluster(self, tmp_path):
        """A journal of that cluster is reported; of the lab, or of another one, it is refused."""
        at_home, abroad = held(), held()
        at_home["acns_chaos"]["target"].update(kind="cluster", context="aks-prod", uid="uid-1")
        abroad["acns_chaos"]["target"].update(kind="lab", context="lab-pets", uid="uid-1")
        ours = written(tmp_path, "ours.json", at_home)
        lab = written(tmp_path, "lab.json", abroad)

        assert run(ours, "--require-cluster", "uid-1").exit_code == 0
        for name, uid in ((lab, "uid-1"), (ours, "uid-2")):
            result = run(name, "--require-cluster", uid, "-o", tmp_path / "report.html")

            assert result.exit_code == ELSEWHERE == 10
            assert f"the cluster {uid} was required" in result.stderr
            assert not (tmp_path / "report.html").exists()

    def test_the_help_has_them(self):
        """They are listed as they are."""
        listed = " ".join(run("--help").stdout.split())

        assert CODES in listed
        assert f"; {ELSEWHERE} when" in CODES
        assert f"; {IN_PART} when" in CODES


class TestRedacted:
    """--redact: names and addresses are pseudonyms, in the report and in what it says of files."""

    def test_no_name_is_left(self, tmp_path):
        """Neither the policy's name nor the file's path stands in the page."""
        path = written(tmp_path, "secret-customer.json", held())
        target = tmp_path / "report.html"
        result = run(path, path, "--redact", "-o", target)
        told = target.read_text("utf-8")

        assert result.exit_code == 0
        for name in ("secret-customer", "allow-store-front-traffic", str(tmp_path)):
            assert name not in told
            assert name not in result.stderr
        assert "journal 1" in result.stderr


class TestGroup:
    """A first word that is no command is a journal."""

    def test_each_command_is_there(self):
        """What the help lists can be called, with the summary of its own help."""
        assert list(COMMANDS) == list(SUMMARIES)
        for name in COMMANDS:
            command = report.get_command(click.Context(report), name)

            assert isinstance(command, click.Command)
            assert name in run("--help").stdout
            assert CliRunner().invoke(main, ["report", name, "--help"]).exit_code == 0

    def test_options_may_come_first(self, journal):
        """The journals may be named last."""
        assert run("--format", "md", journal).exit_code == 0

    def test_a_journal_may_be_called_like_a_command(self, tmp_path, monkeypatch):
        """With its folder it is a file."""
        written(tmp_path, "verify", held())
        monkeypatch.chdir(tmp_path)

        assert TITLE in run("./verify").stdout

    def test_help_imports_nothing_of_reports(self):
        """The help is there at once: no template engine, no YAML, no judgement."""
        code = (
            "import sys; from acns_chaos.cli import main\n"
            "try: main(['report', '--help'])\n"
            "except SystemExit: pass\n"
            "print(sorted({'jinja2', 'yaml', 'acns_chaos.report.build'} & sys.modules.keys()))"
        )
        told = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )

        assert told.stdout.splitlines()[-1] == "[]"
