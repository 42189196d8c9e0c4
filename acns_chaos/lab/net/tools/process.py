"""A command that runs in a container: where, with which input, and where its output goes."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from acns_chaos.lab.api.pods.exec import Write
from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.objects import Pod

T = TypeVar("T")


class Process:
    """One command.

    Args:
        pod: where.
        container: its name.
        base: what its image is built on.
        libc: "musl" or "glibc".
        stdout, stderr: where its output goes.
        stdin: its input, None without any.
    """

    def __init__(
        self,
        pod: Pod,
        container: str,
        base: str,
        libc: str,
        stdout: Write,
        stderr: Write,
        stdin: asyncio.StreamReader | None = None,
    ) -> None:
        self.pod = pod
        self.container = container
        self.base = base
        self.libc = libc
        self.stdin = stdin
        self._stdout = stdout
        self._stderr = stderr

    async def out(self, text: str) -> None:
        """Write to standard output."""
        await self._stdout(text.encode())

    async def out_bytes(self, data: bytes) -> None:
        """Write to standard output."""
        await self._stdout(data)

    async def err(self, text: str) -> None:
        """Write one line to standard error."""
        await self._stderr(f"{text}\n".encode())


async def within(clock: Clock, seconds: float | None, work: Awaitable[T]) -> T | None:
    """The result of some work, None when it takes longer than a command waits for it.

    Args:
        clock: that tells the time.
        seconds: how long it may take, None for as long as it likes.
        work: ended when its time is over.
    """
    task = asyncio.ensure_future(work)
    if seconds is None:
        return await task
    alarm = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({task, alarm}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for each in (task, alarm):
            each.cancel()
        await asyncio.gather(task, alarm, return_exceptions=True)
