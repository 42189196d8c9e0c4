"""Starts programs in a twentieth of a second: a process that has imported it all, and forks.

The child does what the script `chaos` or `acns-chaos` does, in a session of its own. It ends as any
process does, except that its memory is not tidied up first: that would take longer than most of
what it does. One JSON object per line: `{"program", "arguments", "environ", "cwd", "output"}`
in, `{"pid", "cwd"}` and later `{"ended", "code"}` out. Its children die with nobody: whoever starts
one ends it.
"""

import atexit
import gc
import importlib
import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any, NoReturn

_IMPORTED = (
    "chaoslib.experiment",
    "chaoslib.control.python",
    "chaoslib.provider.python",
    "kubernetes.config",
    "kubernetes.client",
    "kubernetes.stream.ws_client",
    "prometheus_api_client",
    "acns_chaos.actions",
    "acns_chaos.probes",
    "acns_chaos.tolerances",
    "acns_chaos.controls.guard",
    "acns_chaos.controls.lab",
    "acns_chaos.cli.restore",
    "acns_chaos.faults.janitor",
    "acns_chaos.faults.inject",
    "acns_chaos.faults.restore",
)


def main() -> int:
    """Fork on request until standard input ends."""
    from chaostoolkit.__main__ import cli  # type: ignore[import-untyped]

    from acns_chaos.cli import main as ours

    for name in _IMPORTED:
        importlib.import_module(name)
    # What a fork writes to is copied, and a collection writes to everything.
    gc.collect()
    gc.freeze()
    ended, tell = os.pipe()
    signal.set_wakeup_fd(_unblocked(tell))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # Ctrl-C is meant for whoever reads from us; when they end, so do we.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _say({"ready": True})
    pending = b""
    while True:
        chunk = _next(ended)
        if chunk is None:
            return 0
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            order = json.loads(line)
            pid = os.fork()
            if pid == 0:
                os.close(ended)
                os.close(tell)
                _become(order)
                _play(cli if order["program"] == "chaos" else ours)
            _say({"pid": pid, "cwd": order["cwd"]})


def _next(ended: int) -> bytes | None:
    """Return what was said; tells of children that ended; None at the end of input."""
    import select

    while True:
        ready, _, _ = select.select([0, ended], [], [])
        if ended in ready:
            os.read(ended, 1024)
            _reap()
        if 0 in ready:
            return os.read(0, 1 << 20) or None


def _reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _say({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _become(order: dict[str, Any]) -> None:
    """Turn this fork into the process that was asked for."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.closerange(3, 64)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environ"])
    # Whatever was imported may have asked for it already.
    tempfile.tempdir = None
    sys.argv = [order["program"], *order["arguments"]]


def _play(program: Callable[[], object]) -> NoReturn:
    """Do what the interpreter does with a script, up to freeing its memory."""
    code: object = 0
    try:
        program()
    except SystemExit as error:
        code = error.code or 0
    except BaseException:  # noqa: BLE001 - shown, as the interpreter shows it
        sys.excepthook(*sys.exc_info())
        code = 1
    if not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _unblocked(number: int) -> int:
    os.set_blocking(number, False)
    return number


def _say(told: dict[str, Any]) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
