"""A Lease says who may change a namespace now, and which records stand behind the changes.

The record of an original lies in ConfigMaps of the experiment's namespace, which many may edit; its
SHA-256 lies here. Kubernetes' own roles `edit` and `admin` write Leases as well, so those of all
namespaces lie in one where nobody holds these roles: `acns-chaos`. Whoever restores believes a
record only when both agree.
All moments are the API server's (`Api.now`), so that two machines whose clocks differ agree.
Belongs here: reading and writing the Lease. Does not belong here: what the records hold.
"""

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.moments import moment
from acns_chaos.cluster.stop import CENTRAL
from acns_chaos.errors import ApiError, Conflict, LeaseHeld, NotFound

__all__ = ["LEASE", "Held", "Leases", "lease_name"]

LEASE = "acns-chaos"
# What this package writes on an object begins with this.
RECORDS = "acns-chaos/records"
# Two processes of one run write the Lease (renewal, entries), and takers-over may as well.
ROUNDS = 20
_MICROTIME = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True, slots=True)
class Held:
    """A Lease as it was read.

    Attributes:
        holder: "<run> <owner>", "" when nobody holds it.
        renewed: when it was last renewed, None if never.
        duration: seconds after which it lapses when it is not renewed.
        records: name of each record that stands → its SHA-256.
    """

    holder: str
    renewed: datetime | None
    duration: int
    records: Mapping[str, str]

    def lapsed(self, now: datetime) -> bool:
        """Whether nobody holds it any more at a moment of the server's clock."""
        if not self.holder or self.renewed is None:
            return True
        return now > self.renewed + timedelta(seconds=self.duration)


def lease_name(namespace: str, what: str = LEASE) -> str:
    """Name the object: "acns-chaos.pets"; what concerns the whole cluster has no suffix."""
    return what if namespace == CENTRAL else f"{what}.{namespace}"


class Leases:
    """The Lease about one namespace.

    Args:
        api: the connection.
        namespace: which it is about; it lies in namespace `acns-chaos`.
        what: which of its Leases.
    """

    def __init__(self, api: Api, namespace: str, what: str = LEASE) -> None:
        self._api = api
        self.namespace = namespace
        self.name = lease_name(namespace, what)
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{CENTRAL}/leases"

    def read(self) -> Held | None:
        """Read it; None when there is none.

        Raises:
            ApiError: it cannot be read.
        """
        raw = self._raw()
        return None if raw is None else _held(raw)

    def acquire(self, holder: str, duration: int) -> Held:
        """Take the Lease, or take it over from somebody whose time is up.

        Args:
            holder: who takes it; taking it again is a renewal.
            duration: seconds.

        Returns:
            What stood there before: records of a run that died are now the taker's to restore.

        Raises:
            LeaseHeld: somebody else holds it.
            ApiError: it cannot be written.
        """
        found: list[Held] = []

        def take(raw: dict[str, Any]) -> None:
            held = _held(raw)
            if held.holder != holder and not held.lapsed(self._api.now()):
                raise LeaseHeld(self._said(held))
            found[:] = [held]
            spec = raw["spec"]
            if held.holder != holder:
                spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1
                spec["acquireTime"] = self._moment()
            spec.update(holderIdentity=holder, leaseDurationSeconds=duration)
            spec["renewTime"] = self._moment()

        self._write(take, create=True)
        return found[0]

    def renew(self, holder: str) -> None:
        """Hold on to it.

        Raises:
            LeaseHeld: it is somebody else's now.
            NotFound: it is gone.
            ApiError: it cannot be written.
        """
        self._write(lambda raw: self._own(raw, holder))

    def require(self, holder: str) -> None:
        """Look whether it is still held, and write nothing; errors as `renew`.

        Raises:
            NotFound: it is gone.
        """
        raw = self._raw()
        if raw is None:
            raise self._gone()
        self._own(raw, holder)

    def enter(self, holder: str, record: str, sha256: str) -> None:
        """Name a record that stands; errors as `renew`."""

        def entered(raw: dict[str, Any]) -> None:
            self._own(raw, holder)
            _put_records(raw, {**_held(raw).records, record: sha256})

        self._write(entered)

    def leave(self, record: str) -> bool:
        """Strike a record out, whoever holds the Lease: what it named is restored.

        Returns:
            False when the server says that there is no Lease: then nothing was struck out.

        Raises:
            ApiError: it cannot be written.
        """

        def left(raw: dict[str, Any]) -> None:
            kept = {key: value for key, value in _held(raw).records.items() if key != record}
            _put_records(raw, kept)

        if self._raw() is None:
            return False
        self._write(left)
        return True

    def release(self, holder: str) -> None:
        """Let go of it if *holder* holds it; the object stays, for its write protection.

        Raises:
            ApiError: it cannot be written.
        """

        def released(raw: dict[str, Any]) -> None:
            if _held(raw).holder == holder:
                raw["spec"]["holderIdentity"] = ""

        if self._raw() is not None:
            self._write(released)

    # ------------------------------------------------------------------ the object

    def _own(self, raw: dict[str, Any], holder: str) -> None:
        held = _held(raw)
        if held.holder != holder:
            raise LeaseHeld(self._said(held))
        raw["spec"]["renewTime"] = self._moment()

    def _said(self, held: Held) -> str:
        by = held.holder or "nobody"
        since = f", renewed {held.renewed:%H:%M:%S} UTC" if held.renewed else ""
        return (
            f"Lease {self.name} of namespace {CENTRAL} is held by {by}{since}: one experiment at a "
            "time; wait for its end, or look with `acns-chaos restore --list`."
        )

    def _gone(self) -> NotFound:
        return NotFound(
            f"Lease {self.name} of namespace {CENTRAL} is gone: somebody deleted it, and with it "
            "what says which records stand.",
            404,
        )

    def _moment(self) -> str:
        return self._api.now().strftime(_MICROTIME)

    def _raw(self) -> dict[str, Any] | None:
        try:
            return self._api.get(f"{self._collection}/{self.name}")
        except NotFound:
            return None

    def _write(self, change: Callable[[dict[str, Any]], None], create: bool = False) -> None:
        for _ in range(ROUNDS):
            raw = self._raw()
            if raw is None and not create:
                raise self._gone()
            new = deepcopy(raw) if raw else self._empty()
            new.setdefault("spec", {})
            change(new)
            if raw == new:
                return
            try:
                if raw is not None:
                    self._api.put(f"{self._collection}/{self.name}", new)
                else:
                    self._api.post(self._collection, new)
                return
            except Conflict:
                continue
        raise ApiError(
            f"Lease {self.name} of namespace {CENTRAL} was written by others {ROUNDS} times in a "
            "row",
            409,
        )

    def _empty(self) -> dict[str, Any]:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name, "namespace": CENTRAL},
            "spec": {},
        }


def _renewed(told: object) -> datetime | None:
    found = moment(told)
    if told and found is None:
        raise ValueError(f"its renewTime is {str(told)[:40]!r}")
    return found


def _held(raw: Mapping[str, Any]) -> Held:
    spec = raw.get("spec") or {}
    try:
        records = json.loads(((raw["metadata"].get("annotations") or {}).get(RECORDS)) or "{}")
        renewed = _renewed(spec.get("renewTime"))
        duration = int(spec.get("leaseDurationSeconds") or 0)
    except (ValueError, TypeError) as error:
        raise ApiError(
            f"Lease {raw['metadata'].get('name')} cannot be read as ours ({error}): delete it if "
            "`acns-chaos restore --list` shows no record"
        ) from error
    if not isinstance(records, dict):
        records = {}
    holder = str(spec.get("holderIdentity") or "")
    return Held(holder, renewed, duration, {str(k): str(v) for k, v in records.items()})


def _put_records(raw: dict[str, Any], records: Mapping[str, str]) -> None:
    annotations = dict(raw["metadata"].get("annotations") or {})
    annotations.pop(RECORDS, None)
    if records:
        annotations[RECORDS] = json.dumps(dict(sorted(records.items())))
    raw["metadata"]["annotations"] = annotations
