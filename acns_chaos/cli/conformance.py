"""`acns-chaos conformance FILE...`: this engine against the verdicts of Cilium's own."""

import json
from pathlib import Path

import click

from acns_chaos.cli import show
from acns_chaos.cluster.vectors import read_vectors
from acns_chaos.errors import PolicyError
from acns_chaos.policy.conformance import Failure, Tally, check

__all__ = ["conformance"]


@click.command(epilog="Exit codes: 0 all passed, 1 some failed, 2 a file that cannot be used.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.pass_context
def conformance(context: click.Context, files: tuple[str, ...], as_json: bool) -> None:
    """Run vector FILEs: flows and objects with the verdicts that Cilium's own engine gave.

    A FILE is JSON with vectors (one object, "vectors" inside) or with one generated world a line
    (*.jsonl, *.jsonl.gz); tests/data/vectors/ has both. Each failing id is named with what was
    expected and what came out. A vector counts as one; of a generated world each flow and each
    object does.
    """
    tally = Tally()
    for file in files:
        of_file = _run(file)
        tally.add(of_file)
        if not as_json:
            for failure in of_file.failures:
                _print(file, failure)
    if as_json:
        show(json.dumps(_json(tally), indent=2))
    else:
        _sum_up(tally)
    context.exit(1 if tally.failures else 0)


def _run(file: str) -> Tally:
    tally = Tally()
    for place, entry in read_vectors(Path(file)):
        try:
            tally.add(check(entry))
        except PolicyError as error:
            raise PolicyError(f"{place}: {error}") from error
    if not tally.passed and not tally.failures:
        raise PolicyError(f"{file} holds no vector.")
    return tally


def _print(file: str, failure: Failure) -> None:
    marks = [word for word in ("quirk", "harness") if getattr(failure, word)]
    marked = f" ({', '.join(marks)})" if marks else ""
    show(f"FAILED {failure.id}{marked} in {file}")
    if failure.what:
        show(f"  {failure.what}")
    show(f"  expected {failure.expected}")
    show(f"  got      {failure.got}")


def _sum_up(tally: Tally) -> None:
    if tally.harness_passed or tally.harness_failed:
        show(
            f"In worlds marked harness, counted below too: {tally.harness_passed} passed, "
            f"{tally.harness_failed} failed"
        )
    show(f"{tally.passed} passed, {len(tally.failures)} failed")


def _json(tally: Tally) -> dict[str, object]:
    return {
        "passed": tally.passed,
        "failed": len(tally.failures),
        "harness": {"passed": tally.harness_passed, "failed": tally.harness_failed},
        "failures": [failure.as_json() for failure in tally.failures],
    }
