"""`acns-chaos sync`: experiments carry copies of claims, because the host has no include.

A claim lives once, in `probes/`; every experiment that uses it holds a copy in its hypothesis.
Copies are found by the probe's name.
"""

import json
from pathlib import Path
from typing import Any

import click

from acns_chaos.errors import AcnsChaosError

__all__ = ["sync"]

Claim = tuple[dict[str, Any], dict[str, Any]]
"""A claim's probe, and the variables that it reads, as its file declares them."""


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when something differs.")
@click.option("--root", default=".", help="Folder that holds probes/, experiments/ and README.md.")
def sync(check: bool, root: str) -> None:
    """Copy the claims of probes/ into experiments/, and refresh the tables of the documents."""
    base = Path(root)
    for folder in ("probes", "experiments"):
        if not (base / folder).is_dir():
            raise AcnsChaosError(f"There is no {folder}/ in {base.resolve()}: name another --root.")
    claims = _claims(base / "probes")
    changed = [
        path
        for path in sorted((base / "experiments").glob("*.json"))
        if _write(path, _with_claims(_load(path), claims), check)
    ]
    for folder in ("probes", "experiments"):
        page = base / folder / "README.md"
        if page.exists() and _catalogue(page, check):
            changed.append(page)
    permissions = base / "docs/permissions.md"
    if permissions.exists() and _permissions(permissions, check):
        changed.append(permissions)
    for path in changed:
        click.echo(f"{'differs' if check else 'written'}: {path}")
    if check and changed:
        raise AcnsChaosError(
            f"{len(changed)} files are out of step with probes/ or the code: run `make sync`."
        )
    if not changed:
        click.echo(f"{len(claims)} claims in step")


def _claims(folder: Path) -> dict[str, Claim]:
    found: dict[str, Claim] = {}
    for path in sorted(folder.glob("*.json")):
        document = _load(path)
        declared = document.get("configuration") or {}
        for probe in document["steady-state-hypothesis"]["probes"]:
            if probe["name"] in found:
                raise AcnsChaosError(f"Two claims in {folder} are named {probe['name']!r}.")
            text = json.dumps(probe)
            found[probe["name"]] = (
                probe,
                {name: value for name, value in declared.items() if f"${{{name}}}" in text},
            )
    return found


def _with_claims(experiment: dict[str, Any], claims: dict[str, Claim]) -> dict[str, Any]:
    """Renew the copies; what they read and the experiment does not declare comes along."""
    hypothesis = experiment.get("steady-state-hypothesis")
    if hypothesis:
        copies = [claims.get(probe["name"], (probe, {})) for probe in hypothesis.get("probes", [])]
        hypothesis["probes"] = [probe for probe, _ in copies]
        for _, declared in copies:
            if declared:
                own = experiment.setdefault("configuration", {})
                own |= {name: value for name, value in declared.items() if name not in own}
    return experiment


def _load(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise AcnsChaosError(f"{path} is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise AcnsChaosError(f"{path} holds no experiment.")
    return found


def _write(path: Path, document: dict[str, Any], check: bool) -> bool:
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    if path.read_text("utf-8") == text:
        return False
    if not check:
        path.write_text(text, "utf-8")
    return True


def _catalogue(page: Path, check: bool) -> bool:
    from acns_chaos.cli.catalogue import entries, table

    before = page.read_text("utf-8")
    rows = table(entries(sorted(page.parent.glob("*.json"))))
    return _refresh(page, before, _between(before, "catalogue", rows), check)


def _permissions(page: Path, check: bool) -> bool:
    from acns_chaos.cluster.permissions import table

    before = page.read_text("utf-8")
    return _refresh(page, before, _between(before, "permissions", table()), check)


def _between(text: str, name: str, rows: str) -> str:
    """Put *rows* between the two comments of that name; a text without them stays as it is."""
    start, end = f"<!-- {name}:start -->\n", f"<!-- {name}:end -->"
    head, found, rest = text.partition(start)
    _, closed, tail = rest.partition(end)
    return head + start + rows + end + tail if found and closed else text


def _refresh(page: Path, before: str, after: str, check: bool) -> bool:
    if after != before and not check:
        page.write_text(after, "utf-8")
    return after != before
