"""`sh`: simple commands one after the other, from -c or from its input.

How text becomes commands is in `commands`; what the commands do is in `toolbox`.
"""

from collections.abc import Awaitable, Callable

from acns_chaos.lab.net.tools.commands import Incomplete, NotModelled, Step, parse_shell
from acns_chaos.lab.net.tools.process import Process

NOT_FOUND = 127
_BAD_NUMBER = 2


class _Exit(Exception):
    """The shell ends with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Shell:
    """Runs it.

    Args:
        run: one simple command in a container; LookupError when the image does not have it.
    """

    def __init__(self, run: Callable[[Process, list[str]], Awaitable[int]]) -> None:
        self._run = run

    async def run(self, process: Process, argv: list[str]) -> int:
        """Run `sh -c TEXT`, or `sh` with a script as its input.

        Args:
            process: where it runs.
            argv: with "sh" first.

        Returns:
            The code of the last command, or the one given to `exit`.

        Raises:
            NotModelled: more of the shell than the lab knows; what came before has been run.
        """
        try:
            if len(argv) == 3 and argv[1] == "-c":
                return await self._steps(process, parse_shell(argv[2]), 0)
            if argv[1:] in ([], ["-s"]):
                return await self._script(process)
        except _Exit as end:
            return end.code
        raise NotModelled("`sh` other than as `sh -c COMMAND` or with a script as its input")

    async def _script(self, process: Process) -> int:
        """Run the input line by line, as a shell does."""
        code, text = 0, ""
        while process.stdin is not None:
            try:
                line = await process.stdin.readline()
            except ValueError:
                raise NotModelled("a script with such a long line") from None
            text += line.decode(errors="replace")
            try:
                steps = [] if text.lstrip().startswith("#") else parse_shell(text)
            except Incomplete:
                if line:
                    continue
                raise
            text = ""
            code = await self._steps(process, steps, code)
            if not line:
                break
        return code

    async def _steps(self, process: Process, steps: list[Step], code: int) -> int:
        for step in steps:
            if (step.after == "&&" and code != 0) or (step.after == "||" and code == 0):
                continue
            if step.argv[0] == "exit":
                await _exit(process, step.argv, code)
            try:
                code = await self._run(process, step.argv)
            except LookupError:
                await process.err(f"sh: {step.argv[0]}: not found")
                code = NOT_FOUND
        return code


async def _exit(process: Process, argv: list[str], code: int) -> None:
    if len(argv) == 1:
        raise _Exit(code)
    if not argv[1].isdigit():
        await process.err(f"sh: exit: line 0: Illegal number: {argv[1]}")
        raise _Exit(_BAD_NUMBER)
    raise _Exit(int(argv[1]) % 256)
