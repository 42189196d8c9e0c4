"""The two engines of Chaos Toolkit: lib 1.44 on Python 3.11, lib 1.45 on Python 3.12 and later.

They differ on signals and on what they swallow, so every way to lie is tried on both, where the
interpreter exists. The second gets a virtual environment of its own beside the first.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CANDIDATES = ("3.11", "3.12", "3.13")


@dataclass(frozen=True)
class Host:
    """One installed Chaos Toolkit.

    Attributes:
        name: "py3.11" and so on.
        python: its interpreter.
    """

    name: str
    python: Path

    @property
    def chaos(self) -> Path:
        """The real command."""
        return self.python.parent / "chaos"

    @property
    def acns_chaos(self) -> Path:
        """Our command."""
        return self.python.parent / "acns-chaos"


def own() -> Host:
    """The engine this test session runs on."""
    return Host(f"py{sys.version_info[0]}.{sys.version_info[1]}", Path(sys.executable))


def other_interpreter() -> str:
    """Find an interpreter with the other engine; "" when the machine has none."""
    newer_here = sys.version_info >= (3, 12)
    for version in CANDIDATES:
        if (version >= "3.12") is newer_here:
            continue
        # Version managers keep interpreters side by side: look beside our own, too.
        beside = sorted(Path(sys.base_prefix).parent.glob(f"{version}*/bin/python{version}"))
        for found in (shutil.which(f"python{version}"), *map(str, beside)):
            if found and _runs(found, version):
                return found
    return ""


def _runs(python: str, version: str) -> bool:
    """Version managers leave names on the PATH that run nothing."""
    done = subprocess.run(
        [python, "-c", "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0 and done.stdout.strip() == version


def install_other(python: str) -> Host:
    """Install this package for the other interpreter, once per state of pyproject.toml."""
    version = subprocess.run(
        [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    folder = ROOT / f".venv-{version}"
    host = Host(f"py{version}", folder / "bin" / "python")
    with Path(f"{folder}.lock").open("w") as lock:
        # The first of several test processes installs, the others wait for it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(python, host, ROOT / "constraints" / f"py{version.replace('.', '')}.txt")
    return host


def _install(python: str, host: Host, lock: Path) -> None:
    folder = host.python.parents[1]
    stamp = folder / ".installed"
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    pinned = ["--constraint", str(lock)] if lock.exists() else []
    pip = [str(host.python), "-m", "pip", "install", "--quiet"]
    for command in (
        [python, "-m", "venv", str(folder)],
        [*pip, *pinned, "--editable", f"{ROOT}[lab]"],
    ):
        subprocess.run(command, check=True)
    stamp.write_text(wanted)
