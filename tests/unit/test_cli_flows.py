"""`acns-chaos flows` over JSON lines: what is shown, what is said to be missing, exit codes."""

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from acns_chaos.cli import main
from tests.unit.hostile import MOMENTS

CAPTURED = Path(__file__).parents[1] / "data" / "hubble" / "captured.jsonl.gz"
LINES = gzip.decompress(CAPTURED.read_bytes()).decode()
LOST = '{"lost_events":{"num_events_lost":"7"},"node_name":"n1"}\n'


def run(*arguments: str, lines: str = LINES) -> Result:
    """Call the command over lines on its standard input."""
    return CliRunner().invoke(main, ["flows", "--input", "-", *arguments], input=lines)


def test_a_denied_packet_is_one_line() -> None:
    """Time, who, whom, why, and which policy; not its second flow."""
    result = run("--verdict", "dropped", "--reason", "POLICY_DENY", "--to", "pets/store-front")
    assert (result.exit_code, result.stderr) == (0, "")
    first, *_ = lines = result.stdout.splitlines()
    assert first == (
        "Nov 22 21:23:29.618: 198.51.100.10:60588 (world) <> "
        "pets/store-front-866f7cbc4b-kn57j:8080 (ID:10519) POLICY_DENY INGRESS DROPPED "
        "(TCP Flags: SYN) DENIED BY pets/allow-store-front-traffic"
    )
    every = run(
        *("--verdict", "DROPPED", "--reason", "POLICY_DENY", "--to", "pets/store-front", "--every")
    )
    assert len(every.stdout.splitlines()) == 2 * len(lines)


def test_json_has_hubbles_names() -> None:
    """One object a line."""
    result = run("--verdict", "DROPPED", "--last", "2", "--json")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(found) == 2
    for one in found:
        assert set(one) == {"flow", "node_name", "time"}
        assert one["flow"]["verdict"] == "DROPPED"


def test_what_is_missing_is_told_and_is_a_code_of_its_own() -> None:
    """On standard error, so that a pipe is not disturbed; as JSON it goes on, too."""
    result = run("--verdict", "DROPPED", "--last", "1", lines=LINES + LOST)
    assert result.exit_code == 3
    assert "7 flows were lost" in result.stderr
    assert len(result.stdout.splitlines()) == 1
    again = run("--json", lines=run("--json", lines=LINES + LOST).stdout)
    assert (again.exit_code, "7 flows were lost" in again.stderr) == (3, True)
    broken = run(lines="not JSON\n")
    assert (broken.exit_code, broken.stdout) == (3, "")
    assert "line 1 is no flow as Hubble writes it" in broken.stderr


def test_nothing_is_said_to_be_nothing() -> None:
    """An empty screen would leave the question open."""
    result = run("--to", "pets/nobody")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "There is no such flow.\n"


def test_a_name_that_somebody_asked_for_moves_no_cursor() -> None:
    """What stands in a flow is whatever a client chose to send."""
    (line,) = [one for one in LINES.splitlines() if '"rcode":3' in one][:1] or [""]
    flow = {"verdict": "DROPPED", "time": "2026-11-22T00:00:00Z", "event_type": {"type": 129}}
    flow["l7"] = {"dns": {"query": "evil\x1b[2J\nNov 22 fake.example."}}
    result = run(lines=json.dumps({"flow": flow}) + "\n" + line)
    assert "\x1b" not in result.stdout
    assert len([one for one in result.stdout.splitlines() if "fake.example" in one]) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("--to", "store-front"),
        ("--since", "yesterday"),
        *(("--since", one) for one in MOMENTS),
        ("--follow",),
        ("--verdict", "DENIED"),
        ("--port", "70000"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: tuple[str, ...]) -> None:
    """In one sentence, and without a traceback."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: " in result.stderr
    assert "Traceback" not in result.stderr
