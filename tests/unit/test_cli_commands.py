"""The command: outcomes as exit codes, errors as one sentence. Reports: test_report_command."""

import importlib
import json
import runpy
import sys
from importlib.abc import MetaPathFinder

import click
import pytest
from click.testing import CliRunner, Result

from acns_chaos import __version__
from acns_chaos.cli import COMMANDS, SUMMARIES, gameday, main
from tests.unit.evidence_journals import CLOSED, held, roles, signed, unmet

HEAVY = ("kubernetes", "chaosk8s", "chaoslib", "requests", "prometheus_api_client", "aiohttp")


def run(*arguments: object) -> Result:
    """Call the command as a shell would."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def journal(tmp_path):
    """Return the path of a HELD journal."""
    path = tmp_path / "journal.json"
    path.write_text(json.dumps(signed(held())))
    return path


def not_restored(journal):
    """Leave the fault unpaid."""
    journal["acns_chaos"]["faults"][0]["restored"] = None


def not_noticed(journal):
    """Let the detector be silent."""
    journal["run"][3]["output"].update(met=False, count=0.0)


def not_injected(journal):
    """Let the fault never be enforced."""
    journal["acns_chaos"]["faults"][0]["realised"] = None


def not_started(journal):
    """Let the first hypothesis fail."""
    journal["acns_chaos"]["faults"] = []
    journal.update(run=[], steady_states={"before": unmet(CLOSED), "after": None})


def deviated(journal):
    """Let the last hypothesis fail."""
    journal["steady_states"]["after"] = unmet(CLOSED)


def inconclusive(journal):
    """Declare no witness."""
    roles(journal)["witnesses"] = []


class TestOutcome:
    """`acns-chaos outcome`."""

    def test_held(self, journal):
        """HELD exits 0, in two lines."""
        result = run("outcome", journal)

        assert result.exit_code == 0
        assert result.stdout.splitlines() == [
            (
                "HELD: The fault in pets/allow-store-front-traffic bit, was noticed and was put "
                "back, in the lab: no cluster was touched."
            ),
            (
                "Next: Nothing to mend; to learn about your own cluster, name its context and run "
                "it again."
            ),
        ]

    @pytest.mark.parametrize(
        ("spoil", "code"),
        [
            (deviated, 3),
            (not_started, 4),
            (not_injected, 5),
            (not_noticed, 6),
            (not_restored, 7),
            (inconclusive, 8),
        ],
    )
    def test_exit_codes(self, tmp_path, spoil, code):
        """Each outcome exits with its own code."""
        spoiled = held()
        spoil(spoiled)
        path = tmp_path / "journal.json"
        path.write_text(json.dumps(signed(spoiled)))
        result = run("outcome", path)

        assert result.exit_code == code
        assert result.stdout.startswith(f"{spoil.__name__.upper()}: In the lab: ")

    def test_verbose(self, journal):
        """The reasons are indented between the sentence and the advice."""
        lines = run("outcome", "--verbose", journal).stdout.splitlines()

        assert lines[1] == '  - witness "customers are turned away": GET / met silence for 2 s'
        assert lines[-1].startswith("Next: ")

    def test_json(self, journal):
        """With --json the journal's own form of the outcome comes out."""
        result = run("outcome", "--json", journal)

        stored = json.loads(journal.read_text())["acns_chaos"]["outcome"]
        assert json.loads(result.stdout) == stored
        assert stored["name"] == "HELD"

    def test_unsigned(self, tmp_path):
        """A journal without signature is INCONCLUSIVE, not an error."""
        path = tmp_path / "journal.json"
        path.write_text(json.dumps(held()))

        assert run("outcome", path).exit_code == 8

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"method": []}'])
    def test_no_journal(self, tmp_path, content):
        """What is no journal is one sentence on stderr, exit code 2, no traceback."""
        path = tmp_path / "journal.json"
        path.write_text(content)
        result = run("outcome", path)

        assert result.exit_code == 2
        assert result.stdout == ""
        assert result.stderr.startswith(f"Error: {path} is ")
        assert result.stderr.count("\n") == 1

    def test_missing(self, tmp_path):
        """A missing journal exits 2."""
        result = run("outcome", tmp_path / "none.json")

        assert result.exit_code == 2
        assert result.stderr.startswith("Error: There is no journal at ")


class TestGroup:
    """The group itself."""

    def test_version(self):
        """The version is the package's."""
        assert run("--version").stdout == f"acns-chaos, version {__version__}\n"

    @pytest.mark.parametrize("name", sorted(COMMANDS))
    def test_every_command_exists(self, name):
        """Each entry of the table leads to a command with a help text."""
        context = click.Context(main)
        command = main.get_command(context, name)

        assert isinstance(command, click.Command)
        assert command.help

    def test_help_lists_every_command(self):
        """The help names each command."""
        listed = run("--help").stdout

        assert [name for name in COMMANDS if f"\n  {name} " not in listed] == []

    def test_help_imports_no_command(self, monkeypatch):
        """All of them take half a second to import, and the help needs none."""
        monkeypatch.setattr("acns_chaos.cli.import_module", None)

        assert run("--help").exit_code == 0

    def test_help_is_a_line_for_each_command(self):
        """Every command has its line, which no terminal of 80 columns breaks."""
        listed = run("--help").stdout.splitlines()

        assert list(SUMMARIES) == list(COMMANDS)
        assert [
            name for name, words in SUMMARIES.items() if f"  {name:13}{words}" not in listed
        ] == []

    def test_help_of_game_days_is_a_line_for_each_command(self):
        """Likewise."""
        listed = run("gameday", "--help").stdout.splitlines()

        assert list(gameday.SUMMARIES) == list(gameday.COMMANDS)
        assert [
            name for name, words in gameday.SUMMARIES.items() if f"  {name:9}{words}" not in listed
        ] == []

    def test_unknown_command(self):
        """An unknown command is a usage error."""
        result = run("judge")

        assert result.exit_code == 2
        assert "No such command 'judge'" in result.stderr

    def test_as_a_module(self, monkeypatch, journal, capsys):
        """`python -m acns_chaos.cli` is the same command."""
        monkeypatch.setattr(sys, "argv", ["acns-chaos", "outcome", str(journal)])
        with pytest.raises(SystemExit) as caught:
            runpy.run_module("acns_chaos.cli", run_name="__main__")

        assert caught.value.code == 0
        assert capsys.readouterr().out.startswith("HELD: ")

    @pytest.mark.parametrize("name", ["outcome", "report"])
    def test_imports_no_client(self, monkeypatch, name, journal):
        """Judging and reporting start without the slow clients, and without the host."""

        class Forbidden(MetaPathFinder):
            def find_spec(self, fullname, path=None, target=None):
                if fullname.partition(".")[0] in HEAVY:
                    raise AssertionError(f"{name} imports {fullname}")

        kept = dict(sys.modules)
        try:
            for module in list(sys.modules):
                if module.partition(".")[0] in ("acns_chaos", *HEAVY):
                    del sys.modules[module]
            monkeypatch.setattr(sys, "meta_path", [Forbidden(), *sys.meta_path])
            fresh = importlib.import_module("acns_chaos.cli").main
            result = CliRunner().invoke(fresh, [name, str(journal)])
        finally:
            sys.modules.clear()
            sys.modules.update(kept)

        assert (result.exit_code, result.exception) == (0, None)
