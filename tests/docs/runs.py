"""Real runs in the lab, kept as journals: what pictures, stored journals and examples are made of.

`python -m tests.docs.runs FOLDER [NAME...]` plays the named runs, or all of them, and writes
`FOLDER/NAME.json` as the host wrote it. Every run has a lab of its own, so that none sees another.
`python -m tests.docs.runs tests/data/journals --kept` makes those anew that tests and bench read.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.journeys.hosts import ROOT, own
from tests.journeys.labs import end_lab, start_lab

FLAGSHIP = "storefront-ingress"
MISBEHAVIOURS: dict[str, tuple[str, tuple[str, ...]]] = {
    # Somebody writes the policy while the fault stands, which is not overwritten: NOT_RESTORED.
    "storefront-ingress-edited": (
        FLAGSHIP,
        ("person", "--policy", "pets/allow-store-front-traffic", "--after", "0.5"),
    ),
    # Whether the fault was stored is not known, so it is restored: INCONCLUSIVE.
    "storefront-ingress-uncertain": (
        FLAGSHIP,
        ("503", "--verb", "update", "--resource", "cnp", "--no-dry-run", "--count", "1"),
    ),
}
"""Runs in a lab that misbehaves: the experiment, and what `acns-chaos lab inject` is told."""
RUNS: dict[str, tuple[str, tuple[str, ...]]] = {
    **{file.stem: (file.stem, ()) for file in sorted((ROOT / "experiments").glob("*.json"))},
    **MISBEHAVIOURS,
}
"""Every run that can be asked for by its name: the catalogue in a lab that behaves, then those."""
KEPT = (
    FLAGSHIP,
    "clusterwide-default-deny",
    "policy-flapping",
    "product-egress-open",
    "storefront-ingress-edited",
    "storefront-ingress-uncertain",
)
"""What `tests/data/journals` holds: one HELD, one NOT_INJECTED, one of several faults, one that
fails open, one NOT_RESTORED, one INCONCLUSIVE."""
JOURNALS = ROOT / "tests/data/journals"
"""Where they are."""
AT_ONCE = 2
"""So many labs beside each other: the machine of CI has two cores."""


def play(name: str, folder: Path) -> Path:
    """Play one run; returns its journal.

    Args:
        name: of `RUNS`.
        folder: where the journal goes.
    """
    experiment, order = RUNS[name]
    journal = folder.resolve() / f"{name}.json"
    with tempfile.TemporaryDirectory() as home:
        here, python = elsewhere(Path(home))
        environ = {**os.environ, "ACNS_CHAOS_CLUSTER": "lab", "ACNS_CHAOS_LAB_HOME": home}
        lab, _ = start_lab(Path(home))
        try:
            if order:
                told = [str(own().acns_chaos), "lab", "inject", *order]
                subprocess.run(told, check=True, capture_output=True, env=environ)
            # Not `check`: the host's exit code is 1 for all but HELD, and those are wanted, too.
            done = subprocess.run(
                [
                    *(python, str(Path(python).parent / "chaos"), "--no-version-check"),
                    *("--no-log-file", "run"),
                    *("--journal-path", str(journal), str(ROOT / f"experiments/{experiment}.json")),
                ],
                check=False,
                capture_output=True,
                text=True,
                cwd=home,
                env={**environ, "PYTHONPATH": str(here)},
            )
        finally:
            end_lab(lab)
    if not journal.is_file():
        raise RuntimeError(f"{name} left no journal:\n{done.stdout}{done.stderr}")
    return journal


def elsewhere(folder: Path) -> tuple[Path, str]:
    """This checkout and its interpreter by the name of a temporary folder.

    The host keeps tracebacks in its journal, and where somebody has the checkout is nobody's
    business.
    """
    here = folder / "acns-chaos"
    here.symlink_to(ROOT)
    python = own().python
    return here, str(here / python.relative_to(ROOT) if python.is_relative_to(ROOT) else python)


def play_all(names: Iterable[str], folder: Path) -> list[Path]:
    """Play runs, some at once; returns their journals in the order of the names."""
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda name: play(name, folder), names))


def main() -> None:
    """Play what the command line names."""
    if len(sys.argv) < 2:
        sys.exit("Usage: python -m tests.docs.runs FOLDER [NAME... | --kept]")
    names = KEPT if sys.argv[2:] == ["--kept"] else tuple(sys.argv[2:]) or tuple(RUNS)
    unknown = [name for name in names if name not in RUNS]
    if unknown:
        sys.exit(f"There is no run {unknown[0]!r}; take one of {', '.join(RUNS)}.")
    for journal in play_all(names, Path(sys.argv[1])):
        sys.stdout.write(f"{journal}\n")


if __name__ == "__main__":
    main()
