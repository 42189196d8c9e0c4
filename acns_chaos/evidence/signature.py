"""The seal of a journal: what tells a finished, untouched one from any other.

It is a plain chain of digests: it shows that the guard saw the run to its end and that nothing
changed since, by accident or by hand. It does not prove *who* wrote the journal; anyone can seal
again, and then has another head than the run's log. docs/evidence.md says it at length.

The seal is made in memory, before the host writes, and must hold after reading the file: so it is
taken over what the host's encoder would write. It is taken over the redacted form (`redaction`).
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.errors import JournalError
from acns_chaos.evidence.canonical import as_written, digest, plain
from acns_chaos.evidence.chain import PRIVATE, begin, broken, declared, last, linked, proof
from acns_chaos.evidence.facts import SECTION, dry_mode
from acns_chaos.evidence.older import ALGORITHM as OLDER
from acns_chaos.evidence.older import older_problem, uncovered
from acns_chaos.evidence.parts import differing, parts_of
from acns_chaos.evidence.redaction import MARK, Substitution, new_table, pseudonymised
from acns_chaos.evidence.values import mapping, text

__all__ = ["Finding", "examine", "head", "sign", "verify"]

ALGORITHM = "sha256-chain"
SCHEMA = 2
# What may come into a journal after the seal: the command line of 1.21 notes a signal that ended
# the run, and the safeguards of chaostoolkit-addons note which of them did.
LATER = ("interruption", "safeguards")
SIGNALS = ("SIGTERM", "SIGINT")


@dataclass(frozen=True, slots=True)
class Finding:
    """What checking a journal came to.

    Attributes:
        problem: what is wrong and where, "" when it is intact.
        head: "sha256:…" of the sealed chain; "" when it has none.
        redacted: whether it holds pseudonyms in place of names.
        events: how many are in the chain.
        older: whether an older version wrote it, with a signature and no chain.
        not_covered: what in it could be edited without being found out.
    """

    problem: str
    head: str = ""
    redacted: bool = False
    events: int = 0
    older: bool = False
    not_covered: tuple[str, ...] = ()


def sign(journal: MutableMapping[str, Any]) -> str:
    """Seal a journal; everything of it must be final, its status included.

    The section gets `names`, `signature`, and `chain` unless it has one; events that are no links
    of it are linked now.

    Args:
        journal: the host's live journal, with a section `acns_chaos`.

    Returns:
        The sealed head, "sha256:…".

    Raises:
        JournalError: there is no section, or the journal cannot be written as JSON at all.
    """
    section = journal.get(SECTION)
    if not isinstance(section, MutableMapping):
        raise JournalError(f"The journal has no {SECTION} section to sign: arm the guard first.")
    for key in ("signature", "names", MARK):
        section.pop(key, None)
    try:
        _link(journal, section)
        content = _plain(journal)
        section["names"] = content[SECTION]["names"] = new_table(content)
        sealed = _sealed(content)
        parts = parts_of(sealed)
        whole = digest(sealed)
    except (TypeError, ValueError, RecursionError) as error:
        raise JournalError(f"The journal cannot be written as JSON ({error}).") from error
    section["signature"] = {"algorithm": ALGORITHM, "digest": whole, "parts": parts}
    section["chain"]["head"] = _head(section)
    return str(section["chain"]["head"])


def verify(journal: object) -> str:
    """Say why a journal cannot be trusted, "" when it can; never raises.

    Args:
        journal: as read from the host's file, or as held in memory.
    """
    return examine(journal).problem


def head(journal: object) -> str:
    """Return the head a journal says it was sealed with, "sha256:…"; "" when it says none."""
    found = mapping(mapping(mapping(journal).get(SECTION)).get("chain")).get("head")
    return found if isinstance(found, str) else ""


def examine(journal: object, written: str | None = None) -> Finding:
    """Check a journal against its seal; never raises.

    Args:
        journal: as read from the host's file, or as held in memory.
        written: the file's text, to be checked as well; None when there is no file.
    """
    given = mapping(journal)
    section = mapping(given.get(SECTION))
    if not section:
        return Finding("it has no acns_chaos section: the guard did not see this run")
    signature = mapping(section.get("signature"))
    kind = signature.get("algorithm")
    try:
        found = _of_older(given) if kind == OLDER else _examined(given, section, signature)
        if written is not None and not found.problem:
            spelt = _misspelt(given, written)
            found = Finding(spelt) if spelt else found
    except (TypeError, ValueError, RecursionError, AttributeError, KeyError):
        return Finding("it holds what cannot be written as JSON")
    return found


def _of_older(journal: Mapping[str, Any]) -> Finding:
    schema = mapping(journal.get(SECTION)).get("schema")
    if isinstance(schema, int) and schema >= SCHEMA:
        return Finding("its signature is of an older kind than its schema")
    return Finding(older_problem(journal), older=True, not_covered=uncovered(journal))


def _examined(
    journal: Mapping[str, Any], section: Mapping[str, Any], signature: Mapping[str, Any]
) -> Finding:
    events = section.get("events")
    events = events if isinstance(events, list) else []
    begun, redacted = mapping(section.get("chain")), section.get(MARK) is True
    if not signature:
        problem = "it is not signed: the guard did not see the end of this run"
        if begun:
            broke = broken(begun, events, redacted)
            count = f"the chain of {len(events)} events is whole up to there"
            problem = f"{problem}; {broke or count}"
        elif redacted:
            problem = "it is redacted from a journal that had no chain, so it cannot be checked"
        return Finding(problem, redacted=redacted, events=len(events))
    if signature.get("algorithm") != ALGORITHM:
        return Finding(f"its signature is not of the kind {ALGORITHM}")
    problem = (
        broken(begun, events, redacted)
        or _changed(journal, section, signature, redacted)
        or _added(journal)
    )
    return Finding(problem, head(journal), redacted, len(events), not_covered=_not_covered(journal))


def _changed(
    journal: Mapping[str, Any],
    section: Mapping[str, Any],
    signature: Mapping[str, Any],
    redacted: bool,
) -> str:
    """Compare everything with the seal."""
    content = _plain(journal)
    if not redacted and (problem := _strange_name(section)):
        return problem
    substitution = Substitution({} if redacted else content[SECTION]["names"])
    sealed = _sealed(content, substitution)
    if substitution.unclear:
        strange = text(substitution.unclear[0], 60)
        return f'"{strange}" was changed after it was sealed: a pseudonym stands in it'
    whole = digest(sealed)
    if signature.get("digest") != whole:
        places = differing(sealed, mapping(signature.get("parts")))
        # A changed name changes every text that it stands in.
        places = [one for one in places if one.startswith(f"{SECTION}.names")] or places
        if not places:
            return "its seal was changed"
        more = f" and {len(places) - 1} other places" if len(places) > 1 else ""
        return f"it was changed after it was sealed, in {text(places[0], 80)}{more}"
    if signature.keys() != {"algorithm", "digest", "parts"} or head(journal) != _head(section):
        return "its seal was changed"
    if not redacted and (problem := _begun_otherwise(content)):
        return problem
    return ""


def _strange_name(section: Mapping[str, Any]) -> str:
    """Only a salt and a name stand in an entry: the seal covers nothing else of it."""
    names = section.get("names")
    if not isinstance(names, Mapping):
        return "it was changed after it was sealed, in acns_chaos.names"
    for token, entry in names.items():
        given = mapping(entry)
        if given.keys() != {PRIVATE, "name"} or not all(isinstance(x, str) for x in given.values()):
            return f"it was changed after it was sealed, in acns_chaos.names.{text(token, 40)}"
    return ""


def _begun_otherwise(content: Mapping[str, Any]) -> str:
    """Compare the beginning of the chain with the target and the experiment of the journal."""
    section = content[SECTION]
    begun = section["chain"]
    salt = begun.get(PRIVATE)
    if begun.get("target") != proof(salt, _uid(section)):
        return "the run began with another target than the journal names"
    same = begun.get("experiment") == proof(salt, declared(content.get("experiment")))
    if same is not begun.get("experiment_as_begun"):
        return "the run began with another experiment than the journal holds"
    return ""


def _added(journal: Mapping[str, Any]) -> str:
    """What came in after the seal, other than what a host is known to write."""
    interruption = journal.get("interruption")
    if interruption is None:
        return ""
    host = [{"kind": "signal", "name": one, "reason": f"received {one}"} for one in SIGNALS]
    if interruption not in host or journal.get("status") != "interrupted":
        return "it was changed after it was sealed, in interruption"
    return ""


def _not_covered(journal: Mapping[str, Any]) -> tuple[str, ...]:
    found = [key for key in LATER if key in journal]
    if journal.get("status") == "interrupted" and "interruption" not in found:
        found.append("interruption")
    return tuple(found)


def _misspelt(journal: Mapping[str, Any], written: str) -> str:
    """Compare the file with what the host writes: that covers spaces, numbers and escapes."""
    dry = mapping(journal.get("experiment")).get("dry")
    if dry is not None and dry_mode(dry) != dry:
        return "it was changed after it was written, in experiment.dry"
    found, wanted = written.replace("\r\n", "\n"), as_written(journal)
    if found == wanted and written in (found, found.replace("\n", "\r\n")):
        return ""
    lines = zip(written.split("\n"), wanted.split("\n"), strict=False)
    number = next((n for n, (one, other) in enumerate(lines, 1) if one != other), 0)
    where = f"line {number}" if number else "its end"
    return f"it is not as Chaos Toolkit writes it, from {where}: it was edited or written anew"


def _link(journal: Mapping[str, Any], section: MutableMapping[str, Any]) -> None:
    """See that the events are a chain, and note whether the experiment is the one it began with."""
    experiment = journal.get("experiment")
    if not isinstance(section.get("chain"), dict):
        run, version = str(section.get("run")), str(section.get("version"))
        section["chain"] = dict(begin(run, version, _uid(section), experiment))
    chain = section["chain"]
    given = section.get("events")
    given = given if isinstance(given, list) else []
    events = [event for event in given if isinstance(event, Mapping) and "hash" in event]
    before = last(chain, events)
    for place, event in enumerate(given):
        if isinstance(event, Mapping) and "hash" not in event:
            given[place] = linked(plain(event), before)
            before = given[place]["hash"]
    same = chain.get("experiment") == proof(chain.get(PRIVATE), declared(experiment))
    chain["experiment_as_begun"] = same


def _uid(section: Mapping[str, Any]) -> str:
    found = mapping(section.get("target")).get("uid")
    return found if isinstance(found, str) else ""


def _plain(journal: Mapping[str, Any]) -> dict[str, Any]:
    content = plain({key: value for key, value in journal.items() if key not in LATER})
    experiment = content.get("experiment")
    if isinstance(experiment, dict):
        # An enum in memory, a word or null in the file, absent when not run by the command line.
        given = mapping(journal.get("experiment")).get("dry")
        experiment["dry"] = dry_mode(given)
    return dict(content)


def _sealed(content: Mapping[str, Any], substitution: Substitution | None = None) -> dict[str, Any]:
    """Return what the seal is taken over: the redacted form without the seal."""
    table = mapping(content[SECTION].get("names"))
    form = pseudonymised(content, substitution or Substitution(table))
    section = form[SECTION]
    for key in ("signature", MARK):
        section.pop(key, None)
    if isinstance(section.get("chain"), dict):
        section["chain"].pop("head", None)
    return form


def _head(section: Mapping[str, Any]) -> str:
    """The last link of the chain: over the last event, and over everything else."""
    signature = mapping(section.get("signature"))
    events = section.get("events")
    before = last(mapping(section.get("chain")), events if isinstance(events, list) else [])
    content = {key: signature.get(key) for key in ("algorithm", "digest", "parts")}
    return f"sha256:{digest({**content, 'prev': before})}"
