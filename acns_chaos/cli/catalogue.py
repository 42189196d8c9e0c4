"""The catalogue: every experiment and claim of a folder, what it does, and what it needs.

Everything is read from the files themselves; `acns-chaos list` prints it, `acns-chaos sync` writes
it into the folders' README.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from acns_chaos.cli import show
from acns_chaos.cli.check import load_experiment
from acns_chaos.cli.check.finding import Activity, Subject
from acns_chaos.errors import DocumentError

__all__ = ["Entry", "catalogue", "entries", "table"]

# Probes by what they ask besides the API server.
PROMETHEUS = frozenset(
    {"count_drops", "read_connection", "read_alert", "read_detectors", "metrics_are_fresh"}
)
CLUSTERWIDE = "CiliumClusterwideNetworkPolicy"
HUBBLE = frozenset({"read_flows", "relay_is_healthy", "explain_drops"})
COLUMNS = {
    "file": "file",
    "question": "asks",
    "surface": "surface",
    "fault": "fault",
    "reach": "may reach",
    "needs": "needs",
    "outcome": "in the lab",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the catalogue, in words.

    Attributes:
        file: its path.
        question: its title.
        surface: what is broken or looked at.
        fault: the operator or document and its policy; "" for a claim.
        reach: the workloads that the fault may reach; "" for a claim.
        needs: the permissions' tiers, and what must answer.
        outcome: how it ends in the lab.
    """

    file: str
    question: str
    surface: str
    fault: str
    reach: str
    needs: str
    outcome: str


def entries(paths: Iterable[Path]) -> list[Entry]:
    """Read files of experiments or claims.

    Raises:
        DocumentError: one cannot be read.
    """
    return [_entry(path) for path in paths]


def _entry(path: Path) -> Entry:
    subject = Subject(load_experiment(path))
    first = subject.injects[0] if subject.injects else None
    kind = str(subject.extension.get("claim") or "")
    return Entry(
        file=f"{path.parent.name}/{path.name}" if path.parent.name else path.name,
        question=str(subject.document.get("title") or ""),
        surface=str(subject.extension.get("surface") or (f"{kind} claim" if kind else "")),
        fault=_fault(first) if first else "",
        reach=", ".join(map(str, first.arguments.get("limit") or ())) if first else "",
        needs=", ".join(_needs(subject)),
        outcome=str(subject.extension.get("lab_outcome") or ("" if first else "HELD")),
    )


def _fault(inject: Activity) -> str:
    given = inject.arguments
    document = given.get("document")
    metadata = document.get("metadata") if isinstance(document, Mapping) else None
    named = metadata.get("name") if isinstance(metadata, Mapping) else ""
    policy = str(given.get("policy") or named or "")
    what = str(given.get("operator") or "").partition("@")[0]
    what = what or str(given.get("policy_file") or "")
    what = what or ("a new policy" if given.get("create") else "a document")
    return f"{what} on {policy}" if policy else what


def _needs(subject: Subject) -> list[str]:
    asked = {one.function for one in subject.activities}
    found = ["look"]
    if subject.injects or any(one.does("restart_pods") for one in subject.activities):
        found.append("experiment")
    if any(one.arguments.get("kind") == CLUSTERWIDE for one in subject.injects):
        found.append("clusterwide")
    if any(one.arguments.get("prober") is True for one in subject.activities):
        found.append("prober")
    if any(one.does("restart_pods") for one in subject.activities):
        found.append("restart")
    if asked & PROMETHEUS:
        found.append("Prometheus")
    if asked & HUBBLE:
        found.append("Hubble relay")
    return found


def table(found: Iterable[Entry]) -> str:
    """A Markdown table; columns in which nothing stands are left out."""
    rows = [asdict(one) for one in found]
    used = [key for key in COLUMNS if any(row[key] for row in rows)]
    lines = ["| " + " | ".join(COLUMNS[key] for key in used) + " |", "|---" * len(used) + "|"]
    for row in rows:
        cells = [_cell(key, row[key]) for key in used]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(key: str, text: str) -> str:
    text = text.replace("|", "\\|")
    if key == "file":
        name = text.rpartition("/")[2]
        return f"[`{name.removesuffix('.json')}`]({name})"
    return text


@click.command(name="list")
@click.argument("folders", nargs=-1, metavar="[FOLDER|FILE]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def catalogue(folders: tuple[str, ...], as_json: bool) -> None:
    """List experiments and claims: what each asks, breaks, may reach and needs.

    Without FOLDERs: experiments/ and probes/ of the current folder.
    """
    found = entries(_paths(folders or ("experiments", "probes")))
    if as_json:
        show(json.dumps([asdict(one) for one in found], indent=2))
        return
    for one in found:
        show(f"{one.file}\n  {one.question}")
        for key in ("surface", "fault", "reach", "needs", "outcome"):
            if value := getattr(one, key):
                show(f"    {COLUMNS[key]}: {value}")


def _paths(given: Iterable[str]) -> list[Path]:
    found: list[Path] = []
    for text in given:
        path = Path(text)
        if path.is_dir():
            found += sorted([*path.glob("*.json"), *path.glob("*.yaml"), *path.glob("*.yml")])
        elif path.exists():
            found.append(path)
        else:
            raise DocumentError(f"There is no {path}: name a folder of experiments, or a file.")
    return found
