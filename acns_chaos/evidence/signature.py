"""The journal's signature: what tells a finished, untouched journal from any other.

It is a plain digest: it shows that the guard saw the run to its end and that nothing changed since,
by accident or by hand. It does not prove *who* wrote the journal; anyone can sign again.
The digest is made in memory, before the host writes, and must be equal after reading the file: so
it is taken over what the host's encoder would write.
"""

import hashlib
import json
from collections.abc import Mapping, MutableMapping
from datetime import date
from enum import Enum
from typing import Any

from acns_chaos.errors import JournalError
from acns_chaos.evidence.facts import SECTION, dry_mode
from acns_chaos.evidence.values import mapping

__all__ = ["sign", "verify"]

ALGORITHM = "sha256"
# The host's evidence. Its `status` and `deviated` are not here: the guard sets `status` after it
# has signed, and keeps the host's own words in the section.
SIGNED = ("steady_states", "run", "rollbacks")


def sign(journal: MutableMapping[str, Any]) -> None:
    """Put the signature into the journal's section; everything else of it must be final.

    Args:
        journal: the host's live journal, with a section `acns_chaos`.

    Raises:
        JournalError: there is no section, or the journal cannot be written as JSON at all.
    """
    section = journal.get(SECTION)
    if not isinstance(section, MutableMapping):
        raise JournalError(f"The journal has no {SECTION} section to sign: arm the guard first.")
    try:
        digest = _digest(journal)
    except (TypeError, ValueError, RecursionError) as error:
        raise JournalError(f"The journal cannot be written as JSON ({error}).") from error
    section["signature"] = {"algorithm": ALGORITHM, "digest": digest}


def verify(journal: object) -> str:
    """Say why a journal cannot be trusted, "" when it can; never raises.

    Args:
        journal: as read from the host's file, or as held in memory.
    """
    section = mapping(mapping(journal).get(SECTION))
    if not section:
        return "it has no acns_chaos section: the guard did not see this run"
    signature = mapping(section.get("signature"))
    if not signature:
        return "it is not signed: the guard did not see the end of this run"
    if signature.get("algorithm") != ALGORITHM:
        return f"its signature is not of the kind {ALGORITHM}"
    try:
        digest = _digest(mapping(journal))
    except (TypeError, ValueError, RecursionError):
        return "it holds what cannot be written as JSON"
    if signature.get("digest") != digest:
        return "it was changed after it was signed"
    return ""


def _digest(journal: Mapping[str, Any]) -> str:
    section = mapping(journal.get(SECTION))
    experiment = mapping(journal.get("experiment"))
    signed = {
        SECTION: {key: value for key, value in section.items() if key != "signature"},
        # An enum in memory, a word or null in the file, absent when not run by the command line.
        "experiment": {key: value for key, value in experiment.items() if key != "dry"},
        "dry": dry_mode(experiment.get("dry")),
        **{key: journal.get(key) for key in SIGNED},
    }
    # The round trip first: keys become text and tuples lists, as they will in the file.
    plain = json.loads(json.dumps(signed, default=_as_the_host_does))
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _as_the_host_does(value: object) -> object:
    """Encode what JSON has no type for as `chaostoolkit.encoder` does: dates are ISO 8601."""
    if isinstance(value, date):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else str(value)
