"""What to make of live policies: by an operator or by documents. Nothing is written here.

A change is asked with what is live and answers with what each object becomes: one object in most
cases, several when a mistake moves an object or when a file holds several.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from acns_chaos.cluster.policies import PolicyRef, policy_ref
from acns_chaos.errors import PolicyError
from acns_chaos.policy.operators import Surroundings, operator_changes

__all__ = ["Change", "Live", "by_documents", "by_operator", "load_documents"]

Raw = Mapping[str, Any]
Live = Callable[[PolicyRef], Raw | None]
"""Reads a policy as it is live; None when there is none."""

_SPECS = ("spec", "specs")


@dataclass(frozen=True, slots=True)
class Change:
    """What to make of live policies.

    Attributes:
        name: for the record: the operator's name, or "document".
        refs: the objects it is about.
        apply: the objects as they are, what else is live → what each object becomes, None for one
            that is deleted; raises PolicyError.
    """

    name: str
    refs: tuple[PolicyRef, ...]
    apply: Callable[[Live, Surroundings], dict[PolicyRef, dict[str, Any] | None]]


def by_operator(name: str, ref: PolicyRef, ignored: bool = False) -> Change:
    """Change a policy by a mutation operator of `policy.operators`.

    Args:
        name: an operator, when it applies at exactly one place of the policy; else `name@place`,
            or the id of a mutant as `acns-chaos mutants` prints it.
        ref: the policy.
        ignored: take a result that the agents would ignore.
    """

    def become(live: Live, around: Surroundings) -> dict[PolicyRef, dict[str, Any] | None]:
        found = live(ref)
        if found is None:
            raise PolicyError(f"There is no {ref.kind} {ref}.")
        after = operator_changes(name, found, around=around, ignored=ignored)
        return {
            policy_ref(one.kind, one.namespace, one.name): changed for one, changed in after.items()
        }

    return Change(name, (ref,), become)


def by_documents(documents: Sequence[Raw], namespace: str, create: bool = False) -> Change:
    """Change policies into given documents: each one's spec replaces the live one's.

    Args:
        documents: the faulty policies, raw, each with kind and name.
        namespace: of documents that name none.
        create: take documents for policies that do not exist: they are created.

    Raises:
        PolicyError: one of them is no policy, or two are the same.
    """
    wanted: dict[PolicyRef, Raw] = {}
    for document in documents:
        ref = _ref_of(document, namespace)
        if ref in wanted:
            raise PolicyError(f"Two documents are for {ref}: keep one of them.")
        wanted[ref] = document

    def become(live: Live, _: Surroundings) -> dict[PolicyRef, dict[str, Any] | None]:
        return {ref: _written(document, ref, live(ref), create) for ref, document in wanted.items()}

    return Change("document", tuple(wanted), become)


def _ref_of(document: Raw, namespace: str) -> PolicyRef:
    metadata = document.get("metadata") if isinstance(document, Mapping) else None
    if not isinstance(metadata, Mapping) or not any(key in document for key in _SPECS):
        raise PolicyError("A document holds no policy: it needs kind, metadata and a spec.")
    kind, name = str(document.get("kind")), str(metadata.get("name") or "")
    return policy_ref(kind, str(metadata.get("namespace") or namespace), name)


def _written(document: Raw, ref: PolicyRef, live: Raw | None, create: bool) -> dict[str, Any]:
    if live is None:
        if not create:
            raise PolicyError(
                f"There is no {ref.kind} {ref} to change; set `create` to have the fault create it."
            )
        created = {key: deepcopy(document[key]) for key in ("kind", *_SPECS) if key in document}
        metadata = document["metadata"]
        kept = {key: metadata[key] for key in ("labels", "annotations") if metadata.get(key)}
        where = {"namespace": ref.namespace} if ref.namespace else {}
        version = ref.collection.removeprefix("/apis/").split("/")
        created["apiVersion"] = "/".join(version[:2])
        created["metadata"] = {"name": ref.name, **where, **deepcopy(kept)}
        return created
    if document.get("apiVersion") not in (None, live.get("apiVersion")):
        raise PolicyError(
            f"The document's apiVersion is {document.get('apiVersion')!r}, the live policy's "
            f"{live.get('apiVersion')!r}: give the whole policy as `kubectl get -o yaml` prints it."
        )
    changed = {key: deepcopy(value) for key, value in live.items() if key not in _SPECS}
    changed.update({key: deepcopy(document[key]) for key in _SPECS if key in document})
    return changed


def load_documents(path: str) -> list[dict[str, Any]]:
    """Read the policies of a YAML or JSON file.

    Args:
        path: one document or several.

    Raises:
        PolicyError: the file cannot be read, or does not hold policies only.
    """
    try:
        documents = [one for one in yaml.safe_load_all(Path(path).read_text("utf-8")) if one]
    except OSError as error:
        raise PolicyError(f"Policy file {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PolicyError(f"Policy file {path} is not YAML{_where(error)}.") from error
    if not documents:
        raise PolicyError(f"Policy file {path} holds no policy: it is empty.")
    for found in documents:
        metadata = found.get("metadata") if isinstance(found, dict) else None
        if not isinstance(metadata, dict) or not any(key in found for key in _SPECS):
            raise PolicyError(
                f"Policy file {path} holds something else than policies: each document needs "
                "metadata and a spec."
            )
    return documents


def _where(error: Exception) -> str:
    """Say what is wrong and where, without the parser's drawing of it."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return f": {problem}{place}" if problem else place
