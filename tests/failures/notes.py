"""Results of a matrix as they come: told at once, and kept so that one cut short goes on later.

One JSON object per line. The first says which matrix it was and of which product; results of
another product are not taken for this one's.
"""

import contextlib
import hashlib
import json
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import acns_chaos

__all__ = ["Notes", "chosen"]

Case = TypeVar("Case")

# Results between two lines that say how far it is.
EVERY = 50


class Notes:
    """What came of each case.

    Args:
        matrix: its module, for the command that repeats one case.
        file: where results are kept; None keeps none.
        resume: go on with the file instead of beginning anew.
    """

    def __init__(self, matrix: str, file: Path | None, resume: bool) -> None:
        self._matrix = matrix
        self._file = file
        self._began = time.monotonic()
        self._total = self._done = 0
        self.passed: set[str] = set()
        self.failed: list[str] = []
        head = {"matrix": matrix, "product": _product()}
        if file is None:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        if resume and file.exists():
            first, *lines = file.read_text("utf-8").splitlines() or ["{}"]
            if json.loads(first) == head:
                told = [one for line in lines if (one := _read(line))]
                self.passed = {one["case"] for one in told if not one["problem"]}
                with file.open("a", encoding="utf-8") as out:
                    out.write("\n" * (not file.read_text("utf-8").endswith("\n")))
                return
            print(f"{file} is of another product: everything is played", flush=True)
        file.write_text(json.dumps(head) + "\n", "utf-8")

    def begin(self, total: int) -> None:
        """Say how many cases are to be played."""
        self._total, self._began = total, time.monotonic()

    def add(self, case: str, problem: str, kinds: str, **more: Any) -> None:
        """Note one result; a failure is told with the command that repeats it.

        Args:
            case: its description.
            problem: "" when there is none.
            kinds: what `--kinds` must be for this case to be among those played.
            more: for the file; `detail` for people, too.
        """
        self._done += 1
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as out:
                out.write(json.dumps({"case": case, "problem": problem, **more}) + "\n")
        if problem:
            self.failed.append(f"FAILED {case}: {problem}")
            again = (
                f"python -m {self._matrix} --workers 1 --kinds {kinds} --only {shlex.quote(case)}"
            )
            print(
                f"{self.failed[-1]}\n    {more.get('detail', '')}\n    again: {again}", flush=True
            )
        if self._done % EVERY == 0:
            passed = time.monotonic() - self._began
            left = passed / self._done * (self._total - self._done) / 60
            print(
                f"{self._done} of {self._total}, {passed / 60:.1f} minutes, {len(self.failed)} "
                f"failures, about {left:.0f} minutes to go",
                flush=True,
            )

    def tell(self) -> None:
        """Repeat the failures, at the end where people look."""
        for one in self.failed:
            print(one)
        if self._file is not None:
            print(f"all results: {self._file}")


def chosen(cases: Sequence[Case], only: str) -> list[Case]:
    """The case of exactly this description, or all whose description holds it."""
    return [one for one in cases if str(one) == only] or [one for one in cases if only in str(one)]


def _read(line: str) -> dict[str, Any]:
    """Read one line; one that was cut in the middle is nothing."""
    with contextlib.suppress(ValueError):
        return dict(json.loads(line))
    return {}


def _product() -> str:
    """Tell one state of the product from another."""
    root = Path(acns_chaos.__file__).parent
    found = hashlib.sha256()
    for file in sorted(root.rglob("*")):
        if file.suffix in (".py", ".yaml", ".json"):
            found.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes())
    return found.hexdigest()
