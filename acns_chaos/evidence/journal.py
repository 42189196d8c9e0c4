"""Journals as files: reading one, and judging it with its signature and stored outcome."""

import json
import re
from pathlib import Path
from typing import Any

from acns_chaos.errors import JournalCutOff, JournalError
from acns_chaos.evidence.facts import SECTION, Facts
from acns_chaos.evidence.outcome import Judgement, Outcome
from acns_chaos.evidence.rules import derive
from acns_chaos.evidence.signature import verify
from acns_chaos.evidence.telling import inconclusive, told
from acns_chaos.evidence.values import mapping, text

__all__ = ["judge", "load_journal"]

# A run of an hour with every source writes some MiB.
LARGEST = 64 * 2**20
# Python follows about a thousand levels; a policy in a journal stands some twenty deep.
DEEPEST = 200
# What may be left of a value where a file ends.
CUT_TOKEN = re.compile(r"|[-+.eE\d]{1,30}|-?[a-zA-Z]{1,8}|\\?u?[0-9a-fA-F]{0,4}")


def load_journal(path: str | Path) -> dict[str, Any]:
    """Read a journal that Chaos Toolkit wrote.

    Args:
        path: of the JSON file.

    Returns:
        The journal. Nothing in it is vouched for: `judge` does that.

    Raises:
        JournalError: one sentence: missing, unreadable, empty, too large, not JSON, nested too
            deeply, not an object, or not a journal; `JournalCutOff` when its end is missing.
    """
    raw = _read(Path(path))
    if not raw.strip():
        raise JournalError(
            f"{path} is empty: the run died before the host wrote its journal; check by hand that "
            "every policy of the experiment is as it should be."
        )
    try:
        journal = json.loads(raw)
    except RecursionError as error:
        raise JournalError(f"{path} is nested too deeply to be a journal.") from error
    except ValueError as error:
        if _ends_early(raw, error):
            raise JournalCutOff(
                f"{path} is cut off: the host stopped while it wrote; check by hand that every "
                "policy of the experiment is as it should be.",
                raw,
            ) from error
        raise JournalError(f"{path} is not JSON ({text(error, 120)}): name a journal.") from error
    return _a_journal(path, journal)


def _a_journal(path: str | Path, journal: object) -> dict[str, Any]:
    """Refuse JSON that is something else, and say what it looks like."""
    if not isinstance(journal, dict):
        raise JournalError(f"{path} is not a journal: a JSON object was expected.")
    if _too_deep(journal):
        raise JournalError(f"{path} is nested too deeply to be a journal.")
    if "method" in journal and "experiment" not in journal:
        raise JournalError(
            f"{path} is an experiment, not a journal: run it with `chaos run` first."
        )
    if isinstance(journal.get("stories"), list) and "schema" in journal:
        raise JournalError(
            f"{path} is a report of acns-chaos, not a journal: name the journals it was made of."
        )
    if not isinstance(journal.get("experiment"), dict) or not {"run", "status"} & journal.keys():
        raise JournalError(
            f"{path} is not a journal of Chaos Toolkit: it holds no run. Name the file that "
            "`chaos run --journal-path` wrote."
        )
    return journal


def _ends_early(raw: str, error: ValueError) -> bool:
    """Whether a JSON document is right as far as it goes, and then ends."""
    # What a disk that was full, or a machine that went down, leaves at the end of a file.
    written = raw.rstrip(" \t\r\n\0")
    if not written.lstrip().startswith("{") or not isinstance(error, json.JSONDecodeError):
        return False
    if error.msg.startswith("Unterminated string"):
        return True
    return CUT_TOKEN.fullmatch(written[error.pos :]) is not None


def _too_deep(journal: object) -> bool:
    """Whether values are nested deeper than whoever reads them later can follow."""
    level: list[Any] = [journal]
    for _ in range(DEEPEST):
        level = [
            value
            for one in level
            for value in (one.values() if isinstance(one, dict) else one)
            if isinstance(value, dict | list)
        ]
        if not level:
            return False
    return True


def judge(journal: object, problem: str | None = None) -> Judgement:
    """Judge a journal: its signature, its evidence, then the outcome it stores; never raises.

    Args:
        journal: as `load_journal` returns it, or its facts.
        problem: why it is not to be trusted, "" when it is, where `verify` has been asked.

    Returns:
        What `derive` says, or INCONCLUSIVE when the journal is not to be trusted or contradicts
        itself.
    """
    facts = journal if isinstance(journal, Facts) else Facts(journal)
    derived = derive(facts)
    advice = "Judge the file as the run wrote it, or run the experiment again."
    if problem is None:
        problem = verify(facts.journal)
    if problem:
        return _distrusted(facts, problem, derived)
    stored = mapping(facts.section.get("outcome"))
    if (stored.get("name"), stored.get("code")) != (derived.outcome.value, derived.outcome.code):
        name = text(stored.get("name"), 40) or "no outcome"
        fact = f"the journal says {name} and its evidence says {derived.outcome}"
        return inconclusive(facts, fact, advice, (fact, *derived.reasons))
    status, deviated = facts.journal.get("status"), facts.journal.get("deviated")
    if derived.outcome is Outcome.HELD and (status != "completed" or deviated is not False):
        fact = f"the evidence says HELD and the host says {text(status, 40) or 'nothing'}"
        fact += ", deviated" if deviated is True else ""
        return inconclusive(facts, fact, advice, (fact, *derived.reasons))
    return derived


def _distrusted(facts: Facts, problem: str, derived: Judgement) -> Judgement:
    """INCONCLUSIVE, which must not hide that a policy may still be broken."""
    if not mapping(facts.journal.get(SECTION)):
        advice = "Run the experiment with the guard control, which signs the journal."
    elif facts.debts:
        broken = ", ".join(dict.fromkeys(fault.policy for fault in facts.debts))
        advice = f"Look at {broken} first: this journal does not show that it was put back."
    else:
        advice = "Judge the file as the run wrote it, or run the experiment again."
    fact = f"the journal cannot be trusted: {problem}"
    reasons = [problem]
    if derived.outcome is not Outcome.INCONCLUSIVE:
        reasons.append(f"unproven, it tells of {derived.outcome}: {derived.sentence}")
    return told(facts, Outcome.INCONCLUSIVE, fact, advice, tuple(reasons))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
        if len(raw) > LARGEST:
            raise JournalError(
                f"{path} is larger than {LARGEST >> 20} MiB, which no run writes: name a journal."
            )
        return raw.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise JournalError(
            f"There is no journal at {path}: check the path; a run that was killed writes none."
        ) from error
    except UnicodeDecodeError as error:
        raise JournalError(f"{path} is not UTF-8 text, so it is not a journal.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise JournalError(f"{path} cannot be read: {reason}.") from error
