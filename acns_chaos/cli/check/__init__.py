"""`acns-chaos check FILE...`: what in an experiment would not do what it says.

The host accepts much that it then ignores, resets or crashes on. One module for each kind of rule:
`host`, `variables`, `activities`, `proof`.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from acns_chaos.cli import show
from acns_chaos.cli.check import activities, host, proof, variables
from acns_chaos.cli.check.finding import ERROR, Finding, Subject
from acns_chaos.errors import DocumentError

__all__ = ["check", "findings", "load_experiment"]

RULES = (*host.RULES, *variables.RULES, *activities.RULES, *proof.RULES)
# Far above any experiment; a larger file is something else.
LARGEST = 5_000_000


@click.command(
    epilog="Exit codes: 0 nothing to mend (warnings may stand), 1 errors, 2 a file cannot be read."
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--var", "given", multiple=True, metavar="NAME[=VALUE]", help="As for `chaos run`.")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def check(
    context: click.Context,
    files: tuple[str, ...],
    given: tuple[str, ...],
    strict: bool,
    as_json: bool,
) -> None:
    """Look through experiments and claims for what the host would ignore, reset or crash on."""
    names = tuple(one.partition("=")[0].partition(":")[0] for one in given)
    found = {file: findings(load_experiment(Path(file)), names) for file in files}
    if as_json:
        show(json.dumps({file: [one.as_json() for one in many] for file, many in found.items()}))
    else:
        show("\n".join(_text(found)))
    counted = [one for many in found.values() for one in many if strict or one.level == ERROR]
    context.exit(1 if counted else 0)


def findings(document: Mapping[str, Any], given: Iterable[str] = ()) -> list[Finding]:
    """Everything that is to be mended in an experiment or a claim.

    Args:
        document: as loaded.
        given: names that `--var` would set.
    """
    subject = Subject(document, tuple(given))
    return [one for rule in RULES for one in rule(subject)]


def load_experiment(path: Path) -> dict[str, Any]:
    """Read one experiment, JSON or YAML by its ending as the host does.

    Raises:
        DocumentError: it cannot be read, or is no object.
    """
    import yaml

    try:
        if path.stat().st_size > LARGEST:
            raise DocumentError(f"{path} is larger than {LARGEST:,} bytes: it is no experiment.")
        text = path.read_text("utf-8")
        found = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise DocumentError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        told = " ".join(str(error).split())[:200] or "it is nested too deeply"
        raise DocumentError(f"{path} is neither JSON nor YAML: {told}.") from error
    if not isinstance(found, dict):
        raise DocumentError(f"{path} holds no experiment: it is not an object.")
    return found


def _text(found: Mapping[str, list[Finding]]) -> Iterable[str]:
    for file, many in found.items():
        if not many:
            yield f"{file}: nothing to mend"
        for one in many:
            yield f"{file}: {one.where}: {one.level}: {one.sentence} {one.mend} [{one.rule}]"
