"""``python -m acns_chaos.lab serve``: the command line of the lab, and nothing else.

Heavy imports happen only after the arguments are known to be good.
"""

import argparse
import signal
import sys
from collections.abc import Sequence

from acns_chaos.errors import AcnsChaosError

_NEEDED = frozenset({"aiohttp", "cryptography", "promql_parser", "yaml"})


def _port(text: str) -> int:
    if not (text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to 65535.")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m acns_chaos.lab", description="A stand-in cluster on loopback."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="start the lab and print one JSON line when ready")
    serve.add_argument(
        "--world", default="pets", help="pets, pets-workshop, or a YAML file (default: pets)"
    )
    serve.add_argument(
        "--port", type=_port, default=0, help="of the Kubernetes API (default: a free one)"
    )
    serve.add_argument(
        "--register", action="store_true", help="be the one lab that others on this machine find"
    )
    serve.add_argument(
        "--until-stdin-closes", action="store_true", help="stop when the parent process is gone"
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
    # Until the event loop takes over, SIGTERM ends the start as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from acns_chaos.lab.server import Settings, serve

        serve(
            Settings(
                world=options.world,
                port=options.port,
                register=options.register,
                until_stdin_closes=options.until_stdin_closes,
                git_version=options.git_version,
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
