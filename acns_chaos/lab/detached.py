"""A lab that outlives the terminal: no terminal, no folder, and a log of bounded size.

The process that starts it gives it a session of its own and reads the ready line; from then on
nothing ties the lab to anybody. How it is found and ended is in ``registration``.
"""

import logging
import os
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

_BYTES = 256 * 1024


def log_to(file: Path) -> None:
    """Send what would be said on standard error to a file that begins anew when it is full.

    Args:
        file: made for its owner alone; beside it lies at most one older one, ``FILE.1``.
    """
    os.umask(0o077)
    handler = RotatingFileHandler(
        file, maxBytes=_BYTES, backupCount=1, encoding="utf-8", delay=True
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    # The log itself must not fail into a closed terminal.
    logging.raiseExceptions = False


def let_go() -> None:
    """Leave the terminal and the folder behind: everything was said that somebody waits for."""
    sys.stdout.flush()
    sys.stderr.flush()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)
    os.chdir("/")
