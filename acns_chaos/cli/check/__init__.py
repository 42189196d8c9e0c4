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
MOST_PARTS = 200_000
DEEPEST = 100


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
        DocumentError: it cannot be read, or is no object; or its parts go in a circle, are nested
            too deeply or are too many, which no experiment is.
    """
    import yaml

    if path.suffix not in (".json", ".yaml", ".yml"):
        raise DocumentError(f"{path} ends neither in .json nor in .yaml: the host refuses it.")
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise DocumentError(f"{path} is larger than {LARGEST:,} bytes: it is no experiment.")
        text = data.decode("utf-8")
        if path.suffix == ".json":
            found = json.loads(text, object_pairs_hook=_once)
        else:
            found = yaml.load(text, _loader())  # noqa: S506 - a safe loader that minds keys
        _require_plain(found)
    except OSError as error:
        raise DocumentError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        told = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        kind = "JSON" if path.suffix == ".json" else "YAML"
        raise DocumentError(f"{path} is no {kind}: {' '.join(told.split())[:200]}.") from error
    if not isinstance(found, dict):
        raise DocumentError(f"{path} holds no experiment: it is not an object.")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys stand once: of two the host takes the last and says nothing."""
    _require_once(key for key, _ in pairs)
    return dict(pairs)


def _require_once(keys: Iterable[str]) -> None:
    seen = set[str]()
    for key in keys:
        if key in seen:
            raise ValueError(f"the key {key!r} stands twice in one object")
        seen.add(key)


def _loader() -> Any:
    """A safe loader of YAML that refuses a key that stands twice."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = (one.value for one, _ in node.value if isinstance(one, yaml.ScalarNode))
            _require_once(key for key in keys if key != "<<")
            found: dict[Any, Any] = super().construct_mapping(node, deep)
            return found

    return Loader


def _require_plain(value: Any) -> None:
    """Refuse what cannot be walked: aliases of YAML may go in a circle, or stand for millions."""
    left, seen = [(value, 0)], 1
    while left:
        one, depth = left.pop()
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply, or one of its aliases contains itself")
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        # Counted before they are kept: a long list that contains itself would fill the memory.
        seen += len(inner)
        if seen > MOST_PARTS:
            raise ValueError(f"it has more than {MOST_PARTS:,} parts")
        left += [(part, depth + 1) for part in inner]


def _text(found: Mapping[str, list[Finding]]) -> Iterable[str]:
    for file, many in found.items():
        if not many:
            yield f"{file}: nothing to mend"
        for one in many:
            told = f"{one.where}: {one.level}: {one.sentence} {one.mend} [{one.rule}]"
            # A file's own words: they move no cursor and make no second line.
            yield f"{file}: {''.join(map(_sign, told))}"


def _sign(sign: str) -> str:
    return sign if sign.isprintable() else sign.encode("unicode_escape").decode()
