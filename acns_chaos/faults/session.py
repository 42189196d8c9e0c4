"""How an activity gets its run, and what happens when there is none.

A missing or broken control module is only a warning to the host, which then plays the actions
(reference chaos-toolkit.md §0.9). An exception from an action is "failed" and exit code 0. So an
activity without an armed guard ends the process's run itself, the way the host's own exit signals
do: `SystemExit` in the main thread, SIGUSR1 to the main thread from any other.
"""

import logging
import os
import signal
import threading

from acns_chaos.errors import NotArmed
from acns_chaos.faults.runcontext import RunContext, current

__all__ = ["armed_run"]

logger = logging.getLogger("chaostoolkit")


def armed_run() -> RunContext:
    """Return the armed run, or end the host's run with exit code 1.

    Raises:
        SystemExit: no guard is armed and this is the main thread.
        NotArmed: likewise in a background thread, after the main thread was told.
    """
    try:
        return current()
    except NotArmed as error:
        logger.critical(str(error))
        if threading.current_thread() is threading.main_thread():
            # Any code but 30 lets the host play rollbacks and write "interrupted".
            raise SystemExit(1) from error
        os.kill(os.getpid(), signal.SIGUSR1)
        raise
