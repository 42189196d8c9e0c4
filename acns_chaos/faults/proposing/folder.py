"""The folder: a file for each claim and experiment, and a README that says what is not there."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from acns_chaos.faults.proposing.asks import OPEN, STRANGER, Ask
from acns_chaos.faults.proposing.documents import Json, claim_document, experiment_document
from acns_chaos.faults.proposing.outline import Skipped
from acns_chaos.faults.proposing.proposal import Findings

__all__ = ["files_of", "write_files"]

# In names of files and nowhere else: whatever a name holds, a file stays in its folder.
_STRANGE = re.compile(r"[^A-Za-z0-9._-]|^[.]+")
_PROMISE = (
    "Every flow in these files was tried once when they were written, and nothing was changed; but "
    "for those of strangers, who are pods that a run makes, and need its role `prober`."
)
_USE = (
    "Run a claim or an experiment with `chaos run FILE`; `acns-chaos check FILE` says what an edit "
    "has broken. Experiments change policies, and put them back."
)


def files_of(findings: Findings) -> dict[str, str]:
    """Every file's path within the folder, to its text."""
    alone = len(findings.places) == 1
    documents: dict[str, Json] = {}
    for ask, state in sorted(findings.claims.items()):
        word = "open" if state == OPEN else "closed"
        source, target = _bare(_asker(ask), findings, alone), _bare(ask.target, findings, alone)
        _add(
            documents,
            f"probes/{source}-to-{target}-{ask.port}-{word}",
            claim_document(ask, state, ask in findings.in_use),
        )
    for one in findings.experiments:
        ref = one.mutant.policy
        name = ref.name if alone else f"{ref.namespace}-{ref.name}"
        name = _STRANGE.sub("-", name)
        effect = "opens" if one.opens else "closes"
        path = f"experiments/{name}-{one.mutant.family}-{effect}"
        _add(documents, path, experiment_document(one))
    files = {
        path: json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        for path, document in documents.items()
    }
    return {**files, "README.md": _readme(findings, documents)}


def _asker(ask: Ask) -> str:
    return f"{ask.source}stranger" if ask.way == STRANGER else ask.source


def _bare(end: str, findings: Findings, alone: bool) -> str:
    """An end as part of a file's name."""
    inside = alone and end.startswith(f"{findings.places[0]}/")
    return _STRANGE.sub("-", end.partition("/")[2] if inside else end)


def _add(documents: dict[str, Json], path: str, document: Json) -> None:
    """Take a document under its name, or the next one that is free: dashes may be anybody's."""
    number, free = 1, f"{path}.json"
    while free in documents:
        number += 1
        free = f"{path}-{number}.json"
    documents[free] = document


def _readme(findings: Findings, documents: Mapping[str, Json]) -> str:
    """What was proposed, what was not, and what to do with it."""
    places = ", ".join(f"`{place}`" for place in findings.places)
    parts = [
        "# Proposed by `acns-chaos init`\n",
        f"For the policies of {places}. Read, edit, keep what is meant. {_PROMISE}\n",
        f"{_USE}\n",
    ]
    for folder, title in (("experiments", "Experiments"), ("probes", "Claims")):
        rows = [
            f"| [{path.partition('/')[2]}]({path}) | {document['title']} |"
            for path, document in documents.items()
            if path.startswith(f"{folder}/")
        ]
        if rows:
            parts.append(f"## {title}\n\n| file | asks |\n|---|---|\n" + "\n".join(rows) + "\n")
    if findings.skipped:
        lines = "\n".join(_why(findings.skipped))
        parts.append(f"## No experiment\n\n| policy | mistakes | why |\n|---|---|---|\n{lines}\n")
    if findings.notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in findings.notes) + "\n")
    return "\n".join(parts)


def _why(skipped: Iterable[Skipped]) -> Iterable[str]:
    for one in skipped:
        # A policy's name cannot break a table, a tool's output can.
        reason = re.sub(r"[|<>`]", "/", one.reason)
        family = f"{one.family} (opens)" if one.opens else one.family or "all"
        yield f"| {one.policy} | {family} | {reason} |"


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write files into a folder, which is made when it is not there.

    Args:
        folder: empty or absent.
        files: path within it, to text.

    Raises:
        OSError: it cannot be written.
    """
    for path, text in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")
