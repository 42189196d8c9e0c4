"""The lab as a process: ready line, files, the sentence for every way not to start, a clean end."""

import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from acns_chaos.lab.registration import lab_home
from acns_chaos.lab.tls import make_certificates
from tests.tiers import loop

LAB = [sys.executable, "-m", "acns_chaos.lab", "serve"]


@contextmanager
def running(
    *arguments: str, environment: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A lab process that is ready; it is stopped with SIGTERM unless the test did it."""
    process = subprocess.Popen(
        [*LAB, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    with process:
        assert process.stdout
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=10)


def refused(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Start a lab that is expected to refuse; returns its exit code and standard error."""
    done = subprocess.run(
        [*LAB, *arguments],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=10,
        env={**os.environ, **(environment or {})},
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_the_ready_line_and_the_kubeconfig(lab_process: dict[str, Any]) -> None:
    """The line names everything; the kubeconfig is private and holds one context."""
    assert lab_process["ready"] is True
    assert (lab_process["world"], lab_process["context"]) == ("pets", "lab-pets")
    assert lab_process["server"].startswith("https://127.0.0.1:")
    path = Path(lab_process["kubeconfig"])
    assert lab_process["env"]["KUBECONFIG"] == str(path)
    assert lab_process["env"]["ACNS_CHAOS_STOREFRONT_URL"].startswith("http://127.0.0.1:")
    assert lab_process["env"]["ACNS_CHAOS_PROMETHEUS_URL"].startswith("http://127.0.0.1:")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    # The relay's socket comes with its first client, which other tests may have been.
    assert {one.name for one in path.parent.iterdir()} - {"relay.sock"} == {"kubeconfig"}
    content = yaml.safe_load(path.read_text())
    assert content["current-context"] == "lab-pets"
    assert len(content["contexts"]) == len(content["clusters"]) == len(content["users"]) == 1
    assert content["clusters"][0]["cluster"]["certificate-authority-data"]
    assert len(content["users"][0]["user"]["token"]) >= 40


def test_the_certificate_is_not_trusted_by_others(lab_process: dict[str, Any]) -> None:
    """Without the authority of the kubeconfig the connection fails."""
    with pytest.raises(urllib.error.URLError, match="certificate verify failed"):
        urllib.request.urlopen(f"{lab_process['server']}/version", timeout=5)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_certificate_names_loopback(host: str, tmp_path: Path) -> None:
    """A strict client that trusts the authority accepts 127.0.0.1 and localhost, nothing else."""
    certificates = make_certificates()
    server_context = certificates.server_context(tmp_path)
    assert list(tmp_path.iterdir()) == []
    trusting = ssl.create_default_context(cadata=certificates.authority.decode())
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    shake_hands(trusting, server_context, host)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(trusting, server_context, "example.com")


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> None:
    """Let two contexts meet in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=host)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    done = set()
    while len(done) < 2:
        for side in (ours, theirs):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                pass


def test_nonsense_on_the_wire_leaves_no_trace(lab_process: dict[str, Any]) -> None:
    """Plain text, half a handshake and broken HTTP neither stop the lab nor make it talk."""
    port = int(lab_process["server"].rpartition(":")[2])
    for sent in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b""):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(sent)
    with running("--until-stdin-closes") as (process, ready):
        port = int(ready["server"].rpartition(":")[2])
        for sent in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00"):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(sent)
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            context.wrap_socket(plain) as connection,
        ):
            connection.sendall(b"\x00\x01nonsense\r\n\r\n")
            assert b" 400 " in connection.recv(4096)
        process.terminate()
        assert process.stderr
        assert process.stderr.read() == ""


@pytest.mark.parametrize("number", loop([signal.SIGTERM, signal.SIGINT]))
def test_a_signal_is_a_clean_end(number: signal.Signals) -> None:
    """SIGTERM and SIGINT end the lab within a second with exit code 0 and no files left."""
    with running() as (process, ready):
        process.send_signal(number)
        assert process.wait(timeout=20) == 0
        assert process.stderr
        assert process.stderr.read() == ""
    assert not Path(ready["kubeconfig"]).parent.exists()


def test_the_end_of_stdin_is_a_clean_end() -> None:
    """With --until-stdin-closes the lab lives exactly as long as its parent holds the pipe."""
    with running("--until-stdin-closes") as (process, ready):
        assert process.stdin
        process.stdin.write("anything\n")
        process.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.2)
        process.stdin.close()
        assert process.wait(timeout=20) == 0
    assert not Path(ready["kubeconfig"]).parent.exists()


def test_an_open_watch_does_not_hold_up_the_end() -> None:
    """The lab stops at once although a client still watches."""
    with running() as (process, ready):
        kubeconfig = yaml.safe_load(Path(ready["kubeconfig"]).read_text())
        token = kubeconfig["users"][0]["user"]["token"]
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        request = urllib.request.Request(
            f"{ready['server']}/api/v1/pods?watch=true",
            headers={"Authorization": f"Bearer {token}"},
        )
        with urllib.request.urlopen(request, timeout=5, context=context) as response:
            assert json.loads(response.readline())["type"] == "ADDED"
            process.terminate()
            assert process.wait(timeout=20) == 0


def test_one_registered_lab(tmp_path: Path) -> None:
    """--register publishes the ready line, keeps a second lab out, and cleans up."""
    home = {"ACNS_CHAOS_LAB_HOME": str(tmp_path / "home")}
    published = tmp_path / "home" / "lab.json"
    with running("--register", environment=home) as (process, ready):
        found = json.loads(published.read_text())
        # The way to order misbehaviour stands in the registration alone, never in the output.
        assert set(found.pop("control")) == {"url", "token", "authority"}
        assert found == ready
        assert stat.S_IMODE(published.stat().st_mode) == 0o600
        assert stat.S_IMODE(published.parent.stat().st_mode) == 0o700
        code, said = refused("--register", environment=home)
        assert code == 1
        assert said == (
            f"A lab is already running as process {process.pid}: stop it with `kill "
            f"{process.pid}`, or set ACNS_CHAOS_LAB_HOME to another directory for a second one.\n"
        )
        with running(environment=home) as (_, other):
            assert other["server"] != ready["server"]
        found = json.loads(published.read_text())
        # The way to order misbehaviour stands in the registration alone, never in the output.
        assert set(found.pop("control")) == {"url", "token", "authority"}
        assert found == ready
    assert not published.exists()


def test_a_killed_lab_does_not_block_the_next(tmp_path: Path) -> None:
    """After kill -9 the lock is free, and a stale ready line is replaced."""
    # A killed lab leaves its directory behind: let it be in one that pytest removes.
    home = {"ACNS_CHAOS_LAB_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    with running("--register", environment=home) as (process, dead):
        process.kill()
        process.wait(timeout=5)
    with running("--register", environment=home) as (_, ready):
        assert json.loads((tmp_path / "lab.json").read_text())["pid"] == ready["pid"]
        assert ready["pid"] != dead["pid"]


def test_a_home_that_cannot_be_used(tmp_path: Path) -> None:
    """A registration directory that cannot be made is one sentence."""
    (tmp_path / "file").touch()
    code, said = refused(
        "--register", environment={"ACNS_CHAOS_LAB_HOME": str(tmp_path / "file" / "home")}
    )
    assert code == 1
    assert said.startswith(
        f"The lab cannot be registered in {tmp_path}/file/home (Not a directory)"
    )
    assert said.count("\n") == 1


def test_a_home_without_room(tmp_path: Path) -> None:
    """What cannot be written, as on a disk that is full, is one sentence; nothing is left."""
    for room in (0, 20):
        code = (
            f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
            "from pathlib import Path; from acns_chaos.lab.registration import registered\n"
            f"with registered(Path({str(tmp_path)!r})) as lab: lab.publish('x' * 100)"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code], check=False, capture_output=True, text=True
        )
        said = ran.stderr.splitlines()[-1]
        assert f"LabError: The lab cannot be registered in {tmp_path} (File too large)" in said
        assert not (tmp_path / "lab.json").exists()
        assert not (tmp_path / "lab.new").exists()


def test_where_the_registration_is() -> None:
    """The variable wins, then the runtime directory, then the cache in the home."""
    everything = {"ACNS_CHAOS_LAB_HOME": "/a", "XDG_RUNTIME_DIR": "/b", "HOME": "/c"}
    assert lab_home(everything) == Path("/a")
    del everything["ACNS_CHAOS_LAB_HOME"]
    assert lab_home(everything) == Path("/b/acns-chaos")
    assert lab_home({"HOME": "/c"}) == Path("/c/.cache/acns-chaos")


def test_a_taken_port() -> None:
    """A port in use is one sentence that says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = refused("--port", str(port))
    assert code == 1
    assert said == (
        f"Port {port} on 127.0.0.1 is taken: name another with --port, or leave it out for a free "
        "one.\n"
    )


def test_a_chosen_port_and_version() -> None:
    """--port and --git-version are what the client then sees."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with running("--port", str(port), "--git-version", "v1.31.2") as (_, ready):
        assert ready["server"] == f"https://127.0.0.1:{port}"
        from kubernetes import client, config

        with config.new_client_from_config(config_file=ready["kubeconfig"]) as api:
            found = client.VersionApi(api).get_code()
        assert (found.git_version, found.major, found.minor) == ("v1.31.2", "1", "31")


def test_an_unknown_world() -> None:
    """A world that does not exist is one sentence that names it."""
    code, said = refused("--world", "atlantis")
    assert code == 1
    assert "atlantis" in said
    assert said.count("\n") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("obj", "why"),
    loop(
        [
            (
                {"kind": "Gadget", "metadata": {"name": "a"}},
                "Gadget a of the world w is refused: the lab does not model the kind Gadget.",
            ),
            (
                {"kind": "ConfigMap", "metadata": {"name": "a"}},
                "ConfigMap a of the world w is refused: it needs a metadata.namespace.",
            ),
            (
                {"kind": "ConfigMap", "metadata": {"name": "a", "namespace": "none"}},
                'ConfigMap a of the world w is refused: namespaces "none" not found.',
            ),
            (
                {"kind": "Namespace", "metadata": {"name": "a", "namespace": "none"}},
                "Namespace a of the world w is refused: it belongs to no namespace, but names one.",
            ),
            (
                {"kind": "Namespace", "metadata": {"name": "A"}},
                'Namespace A of the world w is refused: Namespace "A" is invalid: metadata.name: ',
            ),
        ]
    ),
)
def test_a_world_with_an_object_that_is_none(tmp_path: Path, obj: dict[str, Any], why: str) -> None:
    """An object of a world file that a server would refuse is one sentence that names it."""
    world = tmp_path / "w.yaml"
    world.write_text(json.dumps({"objects": [{"apiVersion": "v1", **obj}]}))
    code, said = refused("--world", str(world), "--until-stdin-closes")
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith(why)


@pytest.mark.parametrize("port", ["none", "65536", "-1"])
def test_a_port_that_is_none(port: str) -> None:
    """A bad --port is a usage error, exit code 2."""
    code, said = refused("--port", port)
    assert code == 2
    assert "Traceback" not in said


def test_the_missing_extra() -> None:
    """Without aiohttp the lab says in one sentence what to install."""
    program = (
        "import sys; sys.modules['aiohttp'] = None\n"
        "from acns_chaos.lab.__main__ import main\n"
        "sys.exit(main(['serve']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=10
    )
    assert done.returncode == 1
    assert done.stderr == (
        "The lab needs aiohttp, which is not installed: pip install 'acns-chaos[lab]'.\n"
    )
