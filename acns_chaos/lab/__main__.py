"""``python -m acns_chaos.lab serve``: the command line of the lab, and nothing else.

Heavy imports happen only after the arguments are known to be good.
"""

import argparse
import json
import logging
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from acns_chaos.errors import AcnsChaosError

_NEEDED = frozenset({"aiohttp", "cryptography", "google", "grpc", "promql_parser", "re2", "yaml"})


def _port(text: str) -> int:
    if not (text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to 65535.")
    return int(text)


def _new_file(text: str) -> str:
    path = Path(text).absolute()
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no place for a file.")
    return str(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m acns_chaos.lab", description="A stand-in cluster on loopback."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("misbehaviours", help="print what can be ordered of a lab, as JSON")
    serve = commands.add_parser("serve", help="start the lab and print one JSON line when ready")
    serve.add_argument(
        "--world", default="pets", help="pets, pets-workshop, or a YAML file (default: pets)"
    )
    serve.add_argument(
        "--port", type=_port, default=0, help="of the Kubernetes API (default: a free one)"
    )
    serve.add_argument(
        "--bind",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="of loopback, for the Kubernetes API (default: %(default)s)",
    )
    serve.add_argument(
        "--rules", default="", metavar="FILE", help="alert rules for the lab's own Prometheus"
    )
    serve.add_argument(
        "--register", action="store_true", help="be the one lab that others on this machine find"
    )
    serve.add_argument(
        "--until-stdin-closes", action="store_true", help="stop when the parent process is gone"
    )
    serve.add_argument(
        "--log",
        type=_new_file,
        metavar="FILE",
        help="when ready, leave the terminal and the folder, and write what goes wrong there",
    )
    serve.add_argument(
        "--git-version",
        default="v1.33.5+acns-chaos-lab",
        help="what /version says (default: %(default)s)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the lab until it is told to stop.

    Args:
        arguments: without the program name; None takes those of the process.

    Returns:
        the exit code: 0 after a clean stop, 1 when the lab cannot start.
    """
    options = _parser().parse_args(arguments)
    if options.command == "misbehaviours":
        from acns_chaos.lab.misbehave.catalogue import KINDS

        sys.stdout.write(json.dumps([asdict(kind) for kind in KINDS.values()]) + "\n")
        return 0
    # Until the event loop takes over, SIGTERM ends the start as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from acns_chaos.lab.server import Settings, serve

        if options.log:
            from acns_chaos.lab.detached import log_to

            log_to(Path(options.log))

        serve(
            Settings(
                world=options.world,
                port=options.port,
                register=options.register,
                until_stdin_closes=options.until_stdin_closes,
                git_version=options.git_version,
                log=options.log or "",
                bind=options.bind,
                rules=options.rules,
            )
        )
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _NEEDED:
            raise
        sys.stderr.write(
            f"The lab needs {missing}, which is not installed: pip install 'acns-chaos[lab]'.\n"
        )
        return 1
    except AcnsChaosError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        pass
    except Exception:
        if not options.log:
            raise
        logging.getLogger(__name__).exception("The lab ended by an error of its own.")
        sys.stderr.write(f"The lab ended by an error of its own: see {options.log}.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
