"""The record of one changed object in the cluster: what was there, so that anybody can put it back.

A record is one ConfigMap, or several when the original is large. It is written before the first
change and removed after the restore was read back. It is immutable, carries a finalizer (a deletion
would lose the original), and reads as itself: `kubectl get configmap NAME -o yaml` shows what was
changed, until when, and the command that puts it back.
Belongs here: a record as objects of the API. Does not belong here: when one is written or believed.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.policies import POD, PolicyRef, recorded_ref
from acns_chaos.errors import ApiError, Conflict, NotFound, PolicyError, RecordBroken

__all__ = ["FINALIZER", "LABEL", "Record", "Records"]

SCHEMA = 1
LABEL = "acns-chaos/record"
FINALIZER = "acns-chaos/record"
# A ConfigMap holds 1 MiB of keys and values; some is left for the words around the original.
LARGEST = 900_000
_WORDS = ("schema", "about", "by-hand")


@dataclass(frozen=True, slots=True)
class Record:
    """One debt as it is kept in the cluster.

    Attributes:
        run: of the run that changed the object.
        id: of the fault within the run: "f1".
        owner: who ran it: "user@host process 4711".
        cluster: UID of namespace kube-system where it was written.
        home: namespace in which the record lies.
        deadline: server time, ISO 8601, from which on anybody may restore.
        change: "modify", "delete" or "create": what the fault does to the object.
        ref: the object.
        operator: what made it wrong.
        before: the original as it can be written back; None when there was none ("create").
        fault: the faulty object as it was to be written; None when it was deleted ("delete").
    """

    run: str
    id: str
    owner: str
    cluster: str
    home: str
    deadline: str
    change: str
    ref: PolicyRef
    operator: str
    before: dict[str, Any] | None
    fault: dict[str, Any] | None

    @property
    def name(self) -> str:
        """Name of its (first) ConfigMap."""
        return f"acns-chaos-{self.run}-{self.id}".lower()

    def due(self, now: datetime) -> bool:
        """Whether its deadline has passed at a moment of the server's clock."""
        return now >= datetime.fromisoformat(self.deadline)

    def data(self) -> dict[str, str]:
        """Return what its ConfigMaps hold together, one text per key."""
        about = {
            key: value for key, value in asdict(self).items() if key not in ("before", "fault")
        }
        texts = {
            "schema": str(SCHEMA),
            "about": _text(about),
            "by-hand": _by_hand(self),
        }
        for key, policy in (("original.json", self.before), ("fault.json", self.fault)):
            if policy is not None:
                texts[key] = json.dumps(policy, ensure_ascii=False, indent=1)
        return texts

    @classmethod
    def read(cls, data: Mapping[str, str], name: str) -> "Record":
        """Read a record back.

        Args:
            data: what `data` returned.
            name: of its ConfigMap, for the error.

        Raises:
            RecordBroken: it is none of ours, or of a newer schema.
        """
        if data.get("schema") != str(SCHEMA):
            raise RecordBroken(
                f"ConfigMap {name} has record schema {data.get('schema')!r}, and this version "
                f"knows {SCHEMA}: restore with the version that wrote it."
            )
        try:
            about = json.loads(data["about"])
            ref = recorded_ref(**about.pop("ref"))
            before, fault = (
                json.loads(data[key]) if key in data else None
                for key in ("original.json", "fault.json")
            )
            record = cls(ref=ref, before=before, fault=fault, **about)
            _require_comparable(record.deadline)
        except (KeyError, TypeError, ValueError, PolicyError) as error:
            raise RecordBroken(
                f"ConfigMap {name} cannot be read as a record ({type(error).__name__}: {error})."
            ) from error
        if ref.kind == POD and record.change != "create":
            raise RecordBroken(
                f"ConfigMap {name} says that a pod was changed or deleted, and no run does that: "
                "nothing of it is believed."
            )
        return record

    def sha256(self) -> str:
        """Return the hash that the Lease holds."""
        return _sha256(self.data())


class Records:
    """The records of one namespace.

    Args:
        api: the connection.
        namespace: where they lie.
    """

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self.namespace = namespace
        self._collection = f"/api/v1/namespaces/{namespace}/configmaps"

    def write(self, record: Record) -> None:
        """Write a record; several ConfigMaps when it is large, the first one last.

        Raises:
            ApiError: it cannot be written; parts of it may have been.
        """
        parts = _packed(record.data())
        for number, data in reversed(list(enumerate(parts))):
            body = self._config_map(record, number, len(parts), data)
            try:
                self._api.post(self._collection, body)
            except Conflict:
                # An answer that was lost: what is there must be what was meant.
                there = self._api.get(f"{self._collection}/{body['metadata']['name']}")
                if there.get("data") != data:
                    raise

    def read(self, name: str) -> tuple[Record, str]:
        """Read a record and its SHA-256.

        Raises:
            NotFound: it is gone, or a part of it.
            RecordBroken: it cannot be read as one.
            ApiError: it cannot be read.
        """
        first = self._api.get(f"{self._collection}/{name}")
        annotations = first["metadata"].get("annotations") or {}
        try:
            count = int(annotations.get("acns-chaos/parts", "1"))
        except ValueError as error:
            raise RecordBroken(f"ConfigMap {name} does not say how many parts it has.") from error
        parts = [dict(first.get("data") or {})]
        parts += [
            dict(self._api.get(f"{self._collection}/{name}-{number}").get("data") or {})
            for number in range(1, min(count, 1000))
        ]
        data = _unpacked(parts)
        return Record.read(data, name), _sha256(data)

    def names(self) -> list[str]:
        """List the (first) ConfigMaps that say they are records.

        Raises:
            ApiError: they cannot be listed.
        """
        listed = self._api.get(self._collection, {"labelSelector": f"{LABEL}=first"})
        return sorted(str(one["metadata"]["name"]) for one in listed.get("items", []))

    def orphans(self) -> dict[str, str]:
        """List parts without a first: of a record that was never named, or is half removed.

        Returns:
            Name to the record's deadline, ISO 8601.

        Raises:
            ApiError: they cannot be listed.
        """
        # Parts before firsts, as they are written: one whose first is not listed had none.
        listed = self._api.get(self._collection, {"labelSelector": f"{LABEL}=part"})
        parts = [one["metadata"] for one in listed.get("items", [])]
        firsts = set(self.names()) if parts else set()
        return {
            str(one["name"]): str((one.get("annotations") or {}).get("acns-chaos/deadline", ""))
            for one in parts
            if str(one["name"]).rpartition("-")[0] not in firsts
        }

    def remove(self, name: str) -> None:
        """Remove a record and its parts, finalizers first; gone already is done.

        The first goes first: what is left when this is cut short are orphans.

        Raises:
            ApiError: it cannot be removed.
        """
        first = self._found(name)
        self.remove_one(name)
        for part in self._parts_of(name, first):
            self.remove_one(part)

    def _parts_of(self, name: str, first: Mapping[str, Any] | None) -> list[str]:
        if first is None:
            # It was never written, or somebody who was cut short has removed it.
            return [part for part in self.orphans() if part.rpartition("-")[0] == name]
        annotations = first["metadata"].get("annotations") or {}
        count = str(annotations.get("acns-chaos/parts", "1"))
        return [f"{name}-{number}" for number in range(1, int(count) if count.isdigit() else 1)]

    def remove_one(self, name: str) -> None:
        """Remove one ConfigMap, such as an orphan; errors as `remove`."""
        for _ in range(5):
            there = self._found(name)
            if there is None:
                return
            path = f"{self._collection}/{name}"
            with contextlib.suppress(Conflict, NotFound):
                if there["metadata"].get("finalizers"):
                    there["metadata"]["finalizers"] = []
                    self._api.put(path, there)
                self._api.delete(path)
        if self._found(name) is not None:
            raise ApiError(f"ConfigMap {name} of namespace {self.namespace} cannot be deleted", 409)

    def _found(self, name: str) -> dict[str, Any] | None:
        try:
            return self._api.get(f"{self._collection}/{name}")
        except NotFound:
            return None

    def _config_map(
        self, record: Record, number: int, count: int, data: Mapping[str, str]
    ) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": f"{record.name}-{number}" if number else record.name,
                "namespace": self.namespace,
                "labels": {LABEL: "part" if number else "first"},
                "annotations": {
                    "acns-chaos/run": record.run,
                    "acns-chaos/parts": str(count),
                    "acns-chaos/deadline": record.deadline,
                },
                "finalizers": [FINALIZER],
            },
            "immutable": True,
            "data": dict(data),
        }


def _require_comparable(deadline: str) -> None:
    if datetime.fromisoformat(deadline).tzinfo is None:
        raise ValueError("its deadline has no time zone")


def _by_hand(record: Record) -> str:
    """Tell a person without this tool how to put the object back."""
    kind, name = record.ref.kind.lower(), record.ref.name
    where = f" -n {record.ref.namespace}" if record.ref.namespace else ""
    if record.change == "create":
        return f"kubectl delete {kind}{where} {name}\n"
    # Raw, because kubectl otherwise rewrites its annotation of what was last applied.
    if record.change == "delete":
        write = f"kubectl create --raw {record.ref.collection} -f -"
    else:
        # A replacement names the version it replaces; one space of indent is the outermost.
        version = f"$(kubectl get {kind}{where} {name} -o jsonpath='{{.metadata.resourceVersion}}')"
        into = f's/^ "metadata": {{$/ "metadata": {{"resourceVersion": "\'"{version}"\'",/'
        write = f"sed '{into}' | kubectl replace --raw {record.ref.path} -f -"
    # More names than there can be parts: with several names, and those that are not there left
    # out, one template fits all records.
    size = sum(len(json.dumps(one).encode()) for one in (record.before, record.fault) if one)
    names = [record.name, *(f"{record.name}-{n}" for n in range(1, 2 * size // LARGEST + 2))]
    return (
        f"kubectl get configmap {' '.join(names)} -n {record.home} --ignore-not-found "
        "-o go-template='{{range .items}}{{range $k, $v := .data}}{{if ge (len $k) 13}}"
        '{{if eq (slice $k 0 13) "original.json"}}{{$v}}{{end}}{{end}}{{end}}{{end}}\' '
        f"| {write}\n"
    )


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _sha256(data: Mapping[str, str]) -> str:
    return hashlib.sha256(_text(dict(data)).encode("utf-8", "surrogatepass")).hexdigest()


def _packed(data: Mapping[str, str]) -> list[dict[str, str]]:
    """Spread texts over ConfigMaps; a text that fits into none is cut into pieces."""
    parts: list[dict[str, str]] = [{}]
    free = LARGEST
    for key in sorted(data, key=lambda name: (name not in _WORDS, name)):
        pieces = _pieces(data[key], LARGEST)
        for number, piece in enumerate(pieces):
            size = len(piece.encode()) + len(key) + 8
            if size > free and parts[-1]:
                parts.append({})
                free = LARGEST
            parts[-1][key if len(pieces) == 1 else f"{key}.{number:04d}"] = piece
            free -= size
    return parts


def _pieces(text: str, largest: int) -> list[str]:
    """Cut a text so that no piece is longer than *largest* bytes of UTF-8."""
    if len(text.encode()) <= largest:
        return [text]
    # A character takes at most four bytes.
    step = largest // 4
    return [text[start : start + step] for start in range(0, len(text), step)]


def _unpacked(parts: list[dict[str, str]]) -> dict[str, str]:
    data: dict[str, str] = {}
    for key, value in sorted((k, v) for part in parts for k, v in part.items()):
        whole, _, number = key.rpartition(".")
        if number.isdigit() and len(number) == 4:
            data[whole] = data.get(whole, "") + value
        else:
            data[key] = value
    return data
