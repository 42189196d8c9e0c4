"""Journals as files: reading one, and judging it with its signature and stored outcome."""

import json
from pathlib import Path
from typing import Any

from acns_chaos.errors import JournalError
from acns_chaos.evidence.facts import SECTION, Facts
from acns_chaos.evidence.outcome import Judgement, Outcome
from acns_chaos.evidence.rules import derive
from acns_chaos.evidence.signature import verify
from acns_chaos.evidence.telling import inconclusive, told
from acns_chaos.evidence.values import mapping, text

__all__ = ["judge", "load_journal"]


def load_journal(path: str | Path) -> dict[str, Any]:
    """Read a journal that Chaos Toolkit wrote.

    Args:
        path: of the JSON file.

    Returns:
        The journal. Nothing in it is vouched for: `judge` does that.

    Raises:
        JournalError: one sentence: missing, unreadable, empty, cut off, not JSON, not an object,
            or not a journal.
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
        if raw.lstrip().startswith("{") and not raw.rstrip().endswith("}"):
            raise JournalError(
                f"{path} is cut off: the host stopped while it wrote; check by hand that every "
                "policy of the experiment is as it should be."
            ) from error
        raise JournalError(f"{path} is not JSON ({text(error, 120)}): name a journal.") from error
    if not isinstance(journal, dict):
        raise JournalError(f"{path} is not a journal: a JSON object was expected.")
    if "method" in journal and "experiment" not in journal:
        raise JournalError(
            f"{path} is an experiment, not a journal: run it with `chaos run` first."
        )
    if not isinstance(journal.get("experiment"), dict) or not {"run", "status"} & journal.keys():
        raise JournalError(f"{path} is not a journal of Chaos Toolkit: it holds no run.")
    return journal


def judge(journal: object) -> Judgement:
    """Judge a journal: its signature, its evidence, then the outcome it stores; never raises.

    Args:
        journal: as `load_journal` returns it.

    Returns:
        What `derive` says, or INCONCLUSIVE when the journal is not to be trusted or contradicts
        itself.
    """
    facts = Facts(journal)
    derived = derive(facts.journal)
    advice = "Judge the file as the run wrote it, or run the experiment again."
    if problem := verify(facts.journal):
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
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise JournalError(
            f"There is no journal at {path}: check the path; a run that was killed writes none."
        ) from error
    except UnicodeDecodeError as error:
        raise JournalError(f"{path} is not UTF-8 text, so it is not a journal.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise JournalError(f"{path} cannot be read: {reason}.") from error
