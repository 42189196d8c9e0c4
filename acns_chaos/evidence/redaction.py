"""Names and addresses of a journal replaced by pseudonyms, so that it still can be checked.

The seal of a journal is taken over its redacted form (`signature`), with a salted digest of each
name beside its pseudonym. The journal itself keeps the table of names and salts; a redacted one
does not, and verifies to the same head. Replacing is one-to-one: text that looks like a pseudonym
when a run is sealed is replaced, too, so what does in a redacted journal is one.
"""

import copy
import re
from collections.abc import Mapping
from typing import Any

from acns_chaos.evidence.canonical import plain
from acns_chaos.evidence.chain import PRIVATE, new_salt, proof
from acns_chaos.evidence.facts import SECTION
from acns_chaos.evidence.values import mapping
from acns_chaos.evidence.vocabulary import TOKEN, names_in

__all__ = [
    "MARK",
    "Substitution",
    "is_redacted",
    "new_table",
    "pseudonymised",
    "redacted",
    "without_evidence",
]

# In the section of a redacted journal.
MARK = "redacted"
# What only the seal needs, and what is never text of a run.
APART = frozenset({"chain", "names", "signature", MARK})
LINKS = frozenset({PRIVATE, "proof", "prev", "hash"})
# What every pseudonym has in it, and what matches nothing.
NUMBERED, NEVER = re.compile("-[1-9]"), "(?!)"


class Substitution:
    """Names to pseudonyms, one-to-one.

    Args:
        table: pseudonym to `{"salt", "name"}`, as the section's `names`.

    Attributes:
        unclear: texts that do not come back when their pseudonyms are replaced by names again.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        given = {token: mapping(entry).get("name") for token, entry in table.items()}
        self._names = {token: name for token, name in given.items() if isinstance(name, str)}
        self._tokens = {name: token for token, name in self._names.items() if name}
        # The longest first, so that no name is taken for a part of another.
        longest = sorted(self._tokens, key=len, reverse=True)
        names = "|".join(map(re.escape, longest))
        self._known = re.compile(rf"(?<![\w-])(?:{names})(?![\w-])" if longest else NEVER)
        # Most texts hold none: this says so sooner, as it begins with letters and not with a look.
        self._maybe = re.compile(names if longest else NEVER)
        self._done: dict[str, str] = {}
        self.unclear: list[str] = []

    def text(self, text: str) -> str:
        """Replace every name in a text."""
        found = self._done.get(text)
        if found is None:
            found = self._done[text] = self._replaced(text)
        return found

    def value(self, value: Any) -> Any:
        """Replace every name in a plain value, in keys, too."""
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind is dict:
            known, text = self._done, self.text
            return {
                known[key] if key in known else text(key): self.value(inner)
                for key, inner in value.items()
            }
        if kind is list:
            return [self.value(inner) for inner in value]
        return value

    def _replaced(self, text: str) -> str:
        if self._maybe.search(text) is None:
            found = text
            if NUMBERED.search(text) is None:
                return text
        else:
            found = self._known.sub(lambda hit: self._tokens[hit.group()], text)
        back = TOKEN.sub(lambda hit: self._names.get(hit.group(), hit.group()), found)
        if back != text:
            self.unclear.append(text)
        return found


def new_table(journal: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return a pseudonym, with its name and a salt, for every name of a journal.

    Args:
        journal: plain.
    """
    names = names_in(without_evidence(journal))
    while True:
        table = _numbered(names)
        substitution = Substitution(table)
        substitution.value(without_evidence(journal))
        if not substitution.unclear:
            return table
        # None is known that gets here; a name less is better than a seal that does not hold.
        unclear = " ".join(substitution.unclear)
        fewer = {name: kind for name, kind in names.items() if name not in unclear}
        names = fewer if len(fewer) < len(names) else {}


def _numbered(names: Mapping[str, str]) -> dict[str, dict[str, str]]:
    table: dict[str, dict[str, str]] = {}
    counts: dict[str, int] = {}
    for name, kind in names.items():
        while True:
            counts[kind] = counts.get(kind, 0) + 1
            token = f"{kind}-{counts[kind]}"
            # A name that is itself such a word must not get one that is a name here.
            if token not in names:
                break
        table[token] = {PRIVATE: new_salt(), "name": name}
    return table


def without_evidence(journal: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plain journal without what only the seal needs: what may hold names."""
    section = mapping(journal.get(SECTION))
    content = {key: value for key, value in section.items() if key not in APART}
    if isinstance(section.get("events"), list):
        content["events"] = [
            {key: value for key, value in event.items() if key not in LINKS}
            if isinstance(event, Mapping)
            else event
            for event in section["events"]
        ]
    return {**journal, SECTION: content}


def pseudonymised(journal: Mapping[str, Any], substitution: Substitution) -> dict[str, Any]:
    """Return the redacted form of a plain journal, with its signature and without the mark."""
    section = mapping(journal.get(SECTION))
    content: dict[str, Any] = {}
    for key, value in section.items():
        if key == "events" and isinstance(value, list):
            content[key] = [_event(event, substitution) for event in value]
        elif key == "chain" and isinstance(value, Mapping):
            content[key] = {name: inner for name, inner in value.items() if name != PRIVATE}
        elif key == "names" and isinstance(value, Mapping):
            content[key] = {token: _committed(entry) for token, entry in value.items()}
        elif key in APART:
            content[key] = value
        else:
            content[substitution.text(key)] = substitution.value(value)
    return {
        substitution.text(key): content if key == SECTION else substitution.value(value)
        for key, value in journal.items()
    }


def is_redacted(journal: object) -> bool:
    """Whether a journal says that it is redacted."""
    return mapping(mapping(journal).get(SECTION)).get(MARK) is True


def redacted(journal: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a journal without its names and addresses.

    Args:
        journal: as read from its file; one that is redacted comes back as it is.

    Returns:
        The copy; of a sealed journal it verifies to the same head. One of an older version, whose
        signature is over the names, loses its signature.

    Raises:
        TypeError, ValueError, RecursionError: it cannot be written as JSON.
    """
    if is_redacted(journal):
        return copy.deepcopy(dict(journal))
    content = plain(dict(journal))
    section = content.get(SECTION)
    sealed = isinstance(section, dict) and isinstance(section.get("names"), dict)
    table = section["names"] if sealed else new_table(content)
    found = pseudonymised(content, Substitution(table))
    if isinstance(section, dict):
        found[SECTION][MARK] = True
        if not sealed:
            found[SECTION].pop("signature", None)
    return found


def _event(event: object, substitution: Substitution) -> Any:
    if not isinstance(event, Mapping):
        return substitution.value(event)
    return {
        key: value if key in LINKS else substitution.value(value)
        for key, value in event.items()
        if key != PRIVATE
    }


def _committed(entry: object) -> Any:
    """The salted digest of a name, in place of the name; what is no entry stays as it is."""
    given = mapping(entry)
    if given.keys() != {PRIVATE, "name"}:
        return entry
    return {"proof": proof(given[PRIVATE], given["name"])}
