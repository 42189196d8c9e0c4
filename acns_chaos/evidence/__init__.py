"""What a run proves: readings, and from a journal to its outcome.

Here belong the words of readings, the rules of the outcome and the journal's signature. Writing
the journal is the host's, deciding when to sign the guard's, showing it to people `report`'s.
"""

from acns_chaos.evidence.journal import judge, load_journal
from acns_chaos.evidence.outcome import Judgement, Outcome
from acns_chaos.evidence.rules import derive
from acns_chaos.evidence.signature import sign, verify

__all__ = ["Judgement", "Outcome", "derive", "judge", "load_journal", "sign", "verify"]
