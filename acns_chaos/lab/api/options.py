"""Query parameters and DeleteOptions: read strictly, one dataclass for each family of verbs.

A real server ignores parameters that it does not know; the lab refuses them by name, because an
ignored one is how a test passes for the wrong reason.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from acns_chaos.lab.api.failures import (
    Failure,
    Json,
    Problem,
    bad_request,
    conflict,
    invalid,
    not_modelled,
)
from acns_chaos.lab.api.kinds.resources import Resource
from acns_chaos.lab.api.kinds.schema import quoted
from acns_chaos.lab.api.reading.list_rules import list_problems, watch_problems

Query = Iterable[tuple[str, str]]

_WRITE = frozenset({"dryRun", "fieldManager", "fieldValidation"})
_LIST = frozenset(
    {
        "allowWatchBookmarks",
        "continue",
        "fieldSelector",
        "includeObject",
        "labelSelector",
        "limit",
        "resourceVersion",
        "resourceVersionMatch",
        "sendInitialEvents",
        "timeoutSeconds",
        "watch",
    }
)
_DELETE = frozenset({"dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy"})
_DELETE_BODY = _DELETE | {"apiVersion", "kind", "preconditions"}
_NUMBER = re.compile("[-+]?[0-9]{1,19}")
_VERSION = re.compile("[0-9]{1,19}")
# The layout of the answer, and how long kubectl would wait for it.
_SILENT = frozenset({"pretty", "timeout"})


def read_query(query: Query, allowed: frozenset[str], verb: str) -> dict[str, str]:
    """The parameters of a request.

    Raises:
        Failure: 501 naming the first parameter that the lab does not know for this verb.
    """
    found: dict[str, str] = {}
    for name, value in query:
        if name not in allowed and name not in _SILENT:
            raise not_modelled(f"the parameter {name}={value} of {verb}")
        found[name] = value
    return found


def is_version(text: str) -> bool:
    """Whether a text is a resourceVersion: digits of ASCII, within 64 bits."""
    return bool(_VERSION.fullmatch(text))


def is_true(text: str | None) -> bool:
    """As the server converts booleans: everything but "false" and "0" is true."""
    return text is not None and text.lower() not in {"false", "0"}


def _number(name: str, text: str | None) -> int:
    if not text:
        return 0
    if not _NUMBER.fullmatch(text):
        message = f'unable to convert {name}: strconv.ParseInt: parsing "{text}": invalid syntax'
        raise bad_request(message)
    return int(text)


def _unsupported(kind: str, field: str, value: str, supported: str) -> Failure:
    detail = f"{quoted(value)}: supported values: {supported}"
    return invalid(kind, "meta.k8s.io", "", [Problem(field, "Unsupported value", detail)])


def _is_dry_run(kind: str, value: object) -> bool:
    """The meaning of dryRun, which is "All" or nothing."""
    if value in (None, "", []):
        return False
    if value not in ("All", ["All"]):
        shown = value if isinstance(value, str) else json.dumps(value)
        raise _unsupported(kind, "dryRun", shown, '"All"')
    return True


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Of create, update and patch.

    Attributes:
        dry_run: nothing is stored.
        manager: the name in managedFields.
        validation: "Strict", "Warn" or "Ignore": what happens to unknown fields.
        force: an apply takes fields that others own.
        admit: called with the stored object, or None, and the one that is about to replace it;
            raises a Failure when the writer may not do that.
    """

    dry_run: bool
    manager: str
    validation: str
    force: bool = False
    admit: Callable[[Json | None, Json], None] = lambda _old, _new: None

    @classmethod
    def read(
        cls, query: Query, verb: str, user_agent: str, *, applies: bool = False
    ) -> "WriteOptions":
        """From the parameters of a request.

        Args:
            query: the parameters.
            verb: "create", "update" or "patch".
            user_agent: the header, which names a manager that the parameters do not.
            applies: the patch is a server-side apply.

        Raises:
            Failure: 422 for a value that a server refuses, 501 for an unknown parameter.
        """
        kind = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}[verb]
        found = read_query(query, _WRITE | ({"force"} if verb == "patch" else set()), verb)
        problems = []
        if applies and not found.get("fieldManager"):
            why = "is required for apply patch"
            problems.append(Problem("fieldManager", "Required value", why))
        if not applies and "force" in found:
            why = "may not be specified for non-apply patch"
            problems.append(Problem("force", "Forbidden", why))
        dry_run = _is_dry_run(kind, found.get("dryRun"))
        validation = found.get("fieldValidation") or "Warn"
        if validation not in {"Strict", "Warn", "Ignore"}:
            supported = '"", "Ignore", "Strict", "Warn"'
            raise _unsupported(kind, "fieldValidation", validation, supported)
        manager = found.get("fieldManager") or user_agent.partition("/")[0][:128] or "unknown"
        problems += _manager_problems(manager)
        if problems:
            raise invalid(kind, "meta.k8s.io", "", problems)
        return cls(dry_run, manager, validation, applies and is_true(found.get("force")))


def _manager_problems(manager: str) -> list[Problem]:
    problems = []
    if len(manager.encode(errors="replace")) > 128:
        problems.append(Problem("fieldManager", "Too long", "may not be more than 128 bytes"))
    for number, letter in enumerate(manager):
        if not letter.isprintable():
            why = f"{quoted(manager)}: invalid character U+{ord(letter):04X} (at position {number})"
            why += ": should only contain printable characters"
            problems.append(Problem("fieldManager", "Invalid value", why))
            break
    return problems


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Of list and watch.

    Attributes:
        watch: a stream is wanted.
        labels, fields: selectors, "" for everything.
        limit: items of one page, 0 for all.
        token: where an earlier page ended.
        since: the resourceVersion, 0 for any.
        seconds: after which a watch ends, 0 for never.
        bookmarks: a watch may send bookmarks.
        match: "Exact" when nothing but the version ``since`` will do, else "".
        initial: True when a watch is to start with what there is and to say where that ends,
            False when it is not to show what there is, None when the client does not say.
    """

    watch: bool
    labels: str
    fields: str
    limit: int
    token: str
    since: int
    seconds: int
    bookmarks: bool
    match: str = ""
    initial: bool | None = None

    @classmethod
    def read(cls, query: Query) -> "ListOptions":
        """From the parameters of a request.

        Raises:
            Failure: 400 for a value that cannot be read, 422 for values that do not go together,
                501 for a parameter that the lab does not know.
        """
        found = read_query(query, _LIST, "list")
        watch = is_true(found.get("watch"))
        if problems := (watch_problems if watch else list_problems)(found):
            raise invalid("ListOptions", "meta.k8s.io", "", problems)
        match = found.get("resourceVersionMatch", "")
        version = found.get("resourceVersion") or "0"
        if not is_version(version):
            raise bad_request(
                f'resourceVersion: Invalid value: "{version}": strconv.ParseUint: parsing '
                f'"{version}": invalid syntax'
            )
        return cls(
            watch=watch,
            labels=found.get("labelSelector", ""),
            fields=found.get("fieldSelector", ""),
            limit=_number("limit", found.get("limit")),
            token=found.get("continue", ""),
            since=int(version),
            seconds=_number("timeoutSeconds", found.get("timeoutSeconds")),
            bookmarks=is_true(found.get("allowWatchBookmarks")),
            match=match if match == "Exact" else "",
            initial=is_true(initial) if (initial := found.get("sendInitialEvents")) else None,
        )


def _grace(given: Any) -> int | None:
    if given is None:
        return None
    if isinstance(given, bool) or not _NUMBER.fullmatch(str(given)):
        raise bad_request(f"gracePeriodSeconds: {given!r} is no whole number")
    return max(0, int(given))


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """Of delete and deletecollection.

    Attributes:
        dry_run: nothing is removed.
        uid, version: preconditions, "" for none.
        grace: seconds that a pod gets to end; None leaves it to the pod.
    """

    dry_run: bool
    uid: str
    version: str
    grace: int | None = None

    @classmethod
    def read(cls, query: Query, body: Json) -> "DeleteOptions":
        """From the parameters and the body of a request, of which the body wins.

        Raises:
            Failure: 422 for a value that a server refuses, 501 for what is not modelled.
        """
        found: dict[str, Any] = {**read_query(query, _DELETE, "delete"), **body}
        for name in found:
            if name not in _DELETE_BODY:
                raise not_modelled(f"the field {name} of DeleteOptions")
        policy = found.get("propagationPolicy") or "Background"
        if policy != "Background" or found.get("orphanDependents") in {True, "true", "True"}:
            raise not_modelled(f"deletion with propagationPolicy={policy}: it has no dependents")
        conditions = found.get("preconditions") or {}
        return cls(
            dry_run=_is_dry_run("DeleteOptions", found.get("dryRun")),
            uid=conditions.get("uid") or "",
            version=conditions.get("resourceVersion") or "",
            grace=_grace(found.get("gracePeriodSeconds")),
        )

    def check(self, resource: Resource, obj: Json) -> None:
        """Hold the preconditions against an object.

        Raises:
            Failure: 409.
        """
        metadata = obj["metadata"]
        why = ""
        if self.uid and self.uid != metadata["uid"]:
            why = (
                f"the UID in the precondition ({self.uid}) does not match the UID in record "
                f"({metadata['uid']}). The object might have been deleted and then recreated"
            )
        elif self.version and self.version != metadata["resourceVersion"]:
            why = (
                f"the ResourceVersion in the precondition ({self.version}) does not match the "
                f"ResourceVersion in record ({metadata['resourceVersion']}). The object might "
                "have been modified"
            )
        if why:
            raise conflict(resource.plural, resource.group, metadata["name"], why)
