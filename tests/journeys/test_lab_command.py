"""`acns-chaos lab up | status | env | inject | down`, as a person at a terminal uses them."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.cluster.waiting import wait_until
from tests.journeys.conftest import Chaos
from tests.journeys.hosts import ROOT, own
from tests.tiers import loop

pytestmark = pytest.mark.journey
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty folder for the registration."""
    return tmp_path / "lab home"


@pytest.fixture
def command(home: Path, tmp_path: Path) -> Iterator[Run]:
    """`acns-chaos lab`, with a lab that is down after the test."""

    def run(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(own().acns_chaos), "lab", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "ACNS_CHAOS_LAB_HOME": str(home), **environ},
        )

    yield run
    run("down")


def status(command: Run) -> dict[str, Any]:
    """What `lab status --json` says."""
    found = json.loads(command("status", "--json").stdout)
    assert isinstance(found, dict)
    return found


def ports_of(ready: dict[str, Any]) -> list[int]:
    """Every port that a lab said it listens at."""
    urls = [ready["server"], *ready["env"].values()]
    return [int(found[1]) for url in urls if (found := re.search(r":(\d+)$", url))]


def listens(port: int) -> bool:
    """Whether something answers at a port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
    except OSError:
        return False
    return True


def is_alive(pid: int) -> bool:
    """Whether a process lives; one that is dead and not yet collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_from_up_to_down(command: Run, home: Path) -> None:
    """A lab comes up fast, tells where it is, and leaves neither process nor socket nor file."""
    began = time.monotonic()
    up = command("up")
    took = time.monotonic() - began
    assert up.returncode == 0, up.stderr
    # 0.6 s alone on two cores; the budget of 1.5 s is for such a machine, tests share theirs.
    assert took < 6
    assert up.stderr == ""
    assert up.stdout.startswith("Lab of world pets at https://127.0.0.1:")

    found = status(command)
    assert (found["up"], found["world"], found["misbehaviours"]) == (True, "pets", [])
    assert "token" not in json.dumps(found)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["since"])
    said = command("status")
    assert said.returncode == 0
    assert f"(process {found['pid']})" in said.stdout
    assert "Misbehaves: not at all" in said.stdout

    down = command("down")
    assert (down.returncode, down.stderr) == (0, "")
    assert down.stdout == f"The lab of world pets (process {found['pid']}) has ended.\n"
    assert not is_alive(found["pid"])
    assert [port for port in ports_of(found) if listens(port)] == []
    assert list(home.iterdir()) == []
    assert not Path(found["kubeconfig"]).parent.exists()
    nothing = command("status")
    assert nothing.returncode == 3
    assert re.fullmatch(r"Error: No lab is up: `\S+ lab up` starts one\.\n", nothing.stderr)
    assert json.loads(command("status", "--json").stdout) == {"up": False}
    again = command("down")
    assert (again.returncode, again.stdout) == (0, "No lab is up.\n")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_it_is_tied_to_nothing(command: Run) -> None:
    """The process has a session of its own, no terminal, no folder and no open pipe."""
    assert command("up").returncode == 0
    pid = status(command)["pid"]
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    parent, session, terminal = int(fields[1]), int(fields[3]), int(fields[4])
    assert session == pid
    assert terminal == 0
    assert parent != os.getpid()
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    for number in (0, 1, 2):
        assert Path(f"/proc/{pid}/fd/{number}").readlink() == Path(os.devnull)


def test_what_it_prints_works_as_printed(command: Run, home: Path, tmp_path: Path) -> None:
    """The eval line and the things to try run in a shell, copied from the output; the lab stays."""
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    printed = command("up").stdout
    point, *lines = re.findall(r"^  (\S.*)$", printed, re.MULTILINE)
    assert point.startswith('eval "$(')
    assert len(lines) == 3
    outputs = []
    for line in lines:
        done = subprocess.run(
            ["bash", "-uc", f"{point}\n{line}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, "ACNS_CHAOS_LAB_HOME": str(home), "ACNS_CHAOS_CLUSTER": ""},
        )
        outputs.append(done)
    policies, lookup, experiment = outputs
    assert policies.returncode == 0, policies.stderr
    assert "allow-store-front-traffic" in policies.stdout
    assert lookup.returncode == 1
    assert "wget: bad address 'www.bing.com'" in lookup.stdout + lookup.stderr
    assert experiment.returncode == 0, experiment.stderr
    assert "Lab joined: world pets" in experiment.stderr + experiment.stdout
    assert "Outcome: HELD" in experiment.stderr + experiment.stdout
    assert command("status").returncode == 0


def test_what_env_prints_survives_any_folder(command: Run, home: Path) -> None:
    """Values are quoted: a folder with a space stays one value."""
    assert command("env").returncode == 3
    assert command("env").stdout == ""
    assert command("up").returncode == 0
    lines = command("env").stdout
    shown = subprocess.run(
        ["sh", "-euc", f'{lines}\nprintf %s "$ACNS_CHAOS_LAB_HOME"; test -f "$KUBECONFIG"'],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert shown.stdout == str(home)
    found = json.loads(command("env", "--json").stdout)
    assert found["ACNS_CHAOS_CLUSTER"] == "lab"
    assert set(found) > {"KUBECONFIG", "ACNS_CHAOS_STOREFRONT_URL", "ACNS_CHAOS_PROMETHEUS_URL"}


def test_up_twice(command: Run, tmp_path: Path) -> None:
    """The same world is up already; another world or port is refused in one sentence."""
    world = tmp_path / "mine.yaml"
    shutil.copy(ROOT / "acns_chaos/lab/world/pets.yaml", world)
    assert command("up", "--world", "mine.yaml").returncode == 0
    found = status(command)
    same = command("up", "--world", "mine.yaml")
    assert same.returncode == 0
    assert "is up already" in same.stdout
    assert found["server"] in same.stdout
    for arguments in (("--world", "pets-workshop"), ("--world", "mine.yaml", "--port", "1")):
        other = command("up", *arguments)
        assert (other.returncode, other.stdout) == (2, "")
        assert re.fullmatch(
            r"Error: A lab of world pets is up already \(process \d+\).*: end it first with "
            r"`\S+ lab down`\.\n",
            other.stderr,
        )
    foreground = command()
    assert foreground.returncode == 2
    assert f"already running as process {found['pid']}" in foreground.stderr
    assert status(command)["pid"] == found["pid"]


@pytest.mark.parametrize("after", loop(["up", "status", "down"]))
def test_a_lab_that_was_killed(command: Run, home: Path, after: str) -> None:
    """What a killed lab leaves is seen for what it is, by each command, and taken away."""
    assert command("up").returncode == 0
    killed = status(command)
    os.kill(killed["pid"], signal.SIGKILL)
    assert wait_until(lambda: not is_alive(killed["pid"]), 5)
    assert (home / "lab.json").exists()
    done = command(after)
    assert done.returncode == (3 if after == "status" else 0)
    assert not Path(killed["kubeconfig"]).exists()
    if after == "up":
        assert status(command)["pid"] != killed["pid"]
        assert command("down").returncode == 0
    elif after == "down":
        assert done.stdout == "No lab is up; what one that died had left was taken away.\n"
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("up", "--world", "atlantis"), "atlantis"),
        (("up", "--bind", "0.0.0.0"), "The lab listens on loopback only"),
        (("up", "--bind", "10.0.0.1"), "The lab listens on loopback only"),
        (("--bind", "0.0.0.0"), "The lab listens on loopback only"),
        (("--world", "pets", "up"), "Write --world after up: `lab up --world …`."),
        (("inject", "503"), "No lab is up"),
    ],
)
def test_what_is_refused(
    command: Run, home: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    """Bad input ends in one sentence, and nothing is left behind."""
    done = command(*arguments)
    assert done.returncode in (2, 3)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not home.exists() or list(home.iterdir()) == []


def test_a_port_that_is_taken(command: Run) -> None:
    """`up` says which port, and no lab is up."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = command("up", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert re.search(r"Port \d+ on 127.0.0.1 is taken", done.stderr)
    assert command("status").returncode == 3


def test_misbehaviour_from_the_command_line(command: Run) -> None:
    """An order shows in the status with its strikes, and ends when it is cleared."""
    assert command("up").returncode == 0
    listed = command("inject", "--list").stdout
    for word in ("503", "late-write", "gitops", "--flavour", "stale-metrics"):
        assert word in listed
    begun = command("inject", "503", "--verb", "update", "--resource", "cnp", "--for", "60")
    assert begun.returncode == 0, begun.stderr
    first, second = begun.stdout.splitlines()
    assert first == "1  503 verbs=update resource=ciliumnetworkpolicies for 60 s: struck 0"
    assert re.fullmatch(r"`\S+ lab inject --clear 1` ends it\.", second)
    patch = '[{"op": "add", "path": "/spec/description", "value": "mine"}]'
    policy = "pets/allow-store-front-traffic"
    person = command("inject", "person", "--policy", policy, "--set", patch, "--start", "now")
    assert person.returncode == 0, person.stderr
    assert first in command("status").stdout
    assert [one["kind"] for one in status(command)["misbehaviours"]] == ["503", "person"]
    cleared = command("inject", "--clear", "1")
    assert cleared.stdout == f"Ended {first}\n"
    assert command("inject", "--clear").returncode == 0
    assert command("inject", "--clear").stdout == "Nothing misbehaves.\n"
    for arguments, sentence in (
        (("gitop",), "did you mean 'gitops'?"),
        (("503", "--seconds", "3"), "503 takes no seconds"),
        (("person", "--policy", "pets/x"), "There is no policy 'x'"),
        (("person", "--policy", policy, "--set", "{"), "--set takes a JSON patch"),
        (("--clear", "7"), "No misbehaviour '7' is going on"),
        (("--clear", "x/y"), "--clear takes the ID"),
        ((), "Name a KIND"),
    ):
        done = command("inject", *arguments)
        assert done.returncode == 2
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", loop([signal.SIGKILL, signal.SIGTERM]))
def test_a_lab_that_a_run_started_ends_with_it(
    lonely_chaos: Chaos, short: dict[str, Any], tmp_path: Path, number: signal.Signals
) -> None:
    """However a run ends, also by `kill -9`, its own lab leaves no process and no socket."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    short["method"] = []
    probe = short["steady-state-hypothesis"]["probes"][0]
    probe["provider"]["arguments"] = {"path": "/", "expect": "DENIED", "timeout": 1, "deadline": 60}
    process, _, _ = lonely_chaos.start(short, TMPDIR=str(temporary))
    labs: list[int] = []

    def started() -> bool:
        labs[:] = [pid for pid in children(process.pid) if "acns_chaos.lab" in command_line(pid)]
        return bool(labs and listening(labs[0]))

    assert wait_until(started, 30)
    ports = listening(labs[0])
    assert ports
    process.send_signal(number)
    process.communicate(timeout=60)
    assert wait_until(lambda: not is_alive(labs[0]), 10)
    assert [port for port in ports if listens(port)] == []
    assert wait_until(lambda: not list(temporary.glob("acns-chaos-lab-*")), 5)


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(word) for word in text.split()]


def command_line(pid: int) -> str:
    """The command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except FileNotFoundError:
        return ""


def listening(pid: int) -> list[int]:
    """The TCP ports that a process listens at."""
    try:
        links = [str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir()]
    except FileNotFoundError:
        return []
    mine = {link[8:-1] for link in links if link.startswith("socket:")}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(row[1].partition(":")[2], 16) for row in rows if row[3] == "0A" and row[9] in mine]
