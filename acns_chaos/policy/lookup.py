"""What a person types, and the endpoint that is meant.

Belongs here: names of workloads, pods, entities, addresses and DNS names, and the sentences for
those that mean nothing. Does not belong here: making endpoints from objects (`world`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from acns_chaos.errors import PolicyError
from acns_chaos.policy import names
from acns_chaos.policy.addresses import parse_address, parse_prefix
from acns_chaos.policy.endpoints import ENTITIES, SERVICE_ACCOUNT_KEY, Endpoint
from acns_chaos.policy.owners import APP_LABELS
from acns_chaos.policy.services import Service

__all__ = ["Directory", "Found"]

Raw = Mapping[str, Any]

_SERVICE_NAME = re.compile(r"([a-z0-9-]+)\.([a-z0-9-]+)\.svc(\.[a-z0-9.-]+)?\.?")
# As many as a sentence can name.
_MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class Found:
    """What was meant.

    Attributes:
        endpoint: the one to judge.
        note: "" or one sentence that a person should know about it.
    """

    endpoint: Endpoint
    note: str = ""


@dataclass(frozen=True)
class Directory:
    """Everything that has a name.

    Attributes:
        endpoints: pods, host-network pods and nodes.
        workloads: endpoint name to "namespace/workload".
        namespaces: labels of the namespaces.
        services: the services.
        raw_services: the same as raw objects, for their addresses.
    """

    endpoints: Sequence[Endpoint] = ()
    workloads: Mapping[str, str] = field(default_factory=dict)
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    services: Sequence[Service] = ()
    raw_services: Sequence[Raw] = ()

    def find(self, text: str) -> Found:
        """The endpoint that a text means; forms and errors as `World.find`."""
        written = text.strip()
        if not written:
            raise PolicyError("Nothing is named: give a workload, an entity, an address or a name.")
        if written.startswith("labels:"):
            return self._labelled(written)
        if written.startswith("pod:"):
            return Found(self._pod(written.removeprefix("pod:")))
        if written in ENTITIES:
            return Found(Endpoint.entity(written))
        if written in {"all", "cluster", "none"}:
            raise PolicyError(
                f"The entity {written} is not one endpoint; name one of {', '.join(ENTITIES)}."
            )
        if parse_address(written) is not None:
            return self._address(written)
        if parse_prefix(written) is not None:
            raise PolicyError(f"{written} is a prefix, not an endpoint; name one address in it.")
        if "/" in written:
            return self._workload(written)
        service = _SERVICE_NAME.fullmatch(written)
        if service:
            return self._service(service[2], service[1], written)
        if "." in written:
            return _name(written)
        return self._bare(written)

    @cached_property
    def _by_workload(self) -> dict[str, list[Endpoint]]:
        found: dict[str, list[Endpoint]] = {}
        for endpoint in self.endpoints:
            owner = self.workloads.get(endpoint.name)
            for name in dict.fromkeys(
                [owner, *_by_label(endpoint)] if owner else _by_label(endpoint)
            ):
                found.setdefault(name, []).append(endpoint)
        return found

    @cached_property
    def _by_name(self) -> dict[str, Endpoint]:
        return {endpoint.name: endpoint for endpoint in self.endpoints}

    def _pod(self, written: str) -> Endpoint:
        pod = self._by_name.get(written)
        if pod is None:
            raise PolicyError(f"There is no pod {written!r}{self._near(written, self._by_name)}.")
        return pod

    def _workload(self, written: str) -> Found:
        owned = [e for e in self.endpoints if self.workloads.get(e.name) == written]
        several = owned or self._by_workload.get(written)
        if not several:
            if written in self._by_name:
                return Found(self._by_name[written])
            known = sorted(self._by_workload)
            raise PolicyError(
                f"There is no workload or pod {written!r}{self._near(written, known)}."
            )
        first = several[0]
        others = {e.labels for e in several} - {first.labels}
        if others:
            return Found(
                first,
                f"The pods of {written} differ in their labels; this is about {first.name}, name "
                "another with pod:.",
            )
        return Found(first)

    def _bare(self, written: str) -> Found:
        fitting = sorted(n for n in self._by_workload if n.partition("/")[2] == written)
        if len(fitting) == 1:
            return self._workload(fitting[0])
        if fitting:
            raise PolicyError(f"{written!r} may be {' or '.join(fitting)}; write one of them.")
        known = [*ENTITIES, *sorted(self._by_workload)]
        raise PolicyError(
            f"{written!r} is no entity, workload, address or DNS name{self._near(written, known)}."
        )

    def _near(self, written: str, known: Iterable[str]) -> str:
        """How to go on: the nearest names, or those there are."""
        import difflib

        every = list(known)
        near = difflib.get_close_matches(written, every, n=3, cutoff=0.75)
        if near:
            return f"; did you mean {' or '.join(near)}"
        if not every:
            return "; no pods are known"
        namespace = written.partition("/")[0]
        shown = [n for n in every if n.startswith(f"{namespace}/")] or every
        more = f" and {len(shown) - _MOST_NAMED} more" if len(shown) > _MOST_NAMED else ""
        return f"; there are {', '.join(shown[:_MOST_NAMED])}{more}"

    def _labelled(self, written: str) -> Found:
        namespace, slash, pairs = written.removeprefix("labels:").partition("/")
        labels: dict[str, str] = {}
        for pair in pairs.split(",") if pairs else ():
            key, equals, value = pair.partition("=")
            if not equals or not key.strip():
                raise PolicyError(f"{pair!r} in {written!r} is no label; write key=value.")
            labels[key.strip()] = value.strip()
        if not slash or not namespace:
            raise PolicyError(f"{written!r} names no namespace; write labels:pets/app=web.")
        own = Endpoint.pod(
            namespace,
            labels,
            name=pairs or "a pod without labels",
            namespace_labels=self.namespaces.get(namespace, {}),
        )
        alike = next((e for e in self.endpoints if _own(e) == _own(own)), None)
        if alike is not None:
            return Found(alike, f"{written} are the labels of {alike.name}.")
        return Found(own, f"No known pod has just the labels {pairs or '(none)'}; one is imagined.")

    def _address(self, written: str) -> Found:
        address = parse_address(written)
        if address is None or "%" in written:
            raise PolicyError(f"{written} has a zone; write the address without it.")
        text = str(address)
        for endpoint in self.endpoints:
            if endpoint.ip and parse_address(endpoint.ip) == address and endpoint.kind == "pod":
                return Found(endpoint, f"{text} is the address of {endpoint.name}.")
        for endpoint in self.endpoints:
            if endpoint.ip and parse_address(endpoint.ip) == address:
                return Found(
                    endpoint,
                    f"{text} is the address of {endpoint.name}: policy sees the node, as "
                    f"{_entities(endpoint)}.",
                )
        for raw in self.raw_services:
            spec = raw.get("spec") or {}
            if text in {spec.get("clusterIP"), *(spec.get("clusterIPs") or ())}:
                metadata = raw["metadata"]
                name = f"{metadata['name']}.{metadata.get('namespace') or 'default'}.svc"
                raise PolicyError(
                    f"{text} is the address of a service; policy sees the pod behind it: name "
                    f"{name}, and the target port."
                )
        return Found(Endpoint.outside(text))

    def _service(self, namespace: str, name: str, written: str) -> Found:
        for service in self.services:
            if (service.namespace, service.name) != (namespace, name):
                continue
            wanted = {f"k8s:{key}={value}" for key, value in service.selector}
            behind = [
                e
                for e in self.endpoints
                if wanted and e.namespace == namespace and wanted <= e.labels
            ]
            if behind:
                return Found(behind[0], f"Behind {written} is {behind[0].name}.")
            if service.backends:
                return Found(
                    Endpoint.outside(service.backends[0]),
                    f"Behind {written} is the address {service.backends[0]}.",
                )
            raise PolicyError(f"No known pod is behind the service {namespace}/{name}.")
        known = [f"{s.name}.{s.namespace}.svc" for s in self.services]
        raise PolicyError(f"There is no service {written!r}{self._near(written, known)}.")


def _own(endpoint: Endpoint) -> frozenset[str]:
    """Its labels without the service account, which nobody types."""
    account = f"k8s:{SERVICE_ACCOUNT_KEY}="
    return frozenset(label for label in endpoint.labels if not label.startswith(account))


def _by_label(endpoint: Endpoint) -> list[str]:
    """What its labels call it, as "namespace/name"."""
    if endpoint.kind != "pod":
        return []
    labels = dict(x.removeprefix("k8s:").split("=", 1) for x in endpoint.labels if "=" in x)
    return [f"{endpoint.namespace}/{labels[key]}" for key in APP_LABELS if labels.get(key)] or [
        endpoint.name
    ]


def _entities(endpoint: Endpoint) -> str:
    reserved = (x for x in sorted(endpoint.labels) if x.startswith("reserved:"))
    return " and ".join(x.removeprefix("reserved:").rstrip("=") for x in reserved)


def _name(written: str) -> Found:
    finding = names.problem({"matchName": written})
    if finding:
        raise PolicyError(f"{written!r} is no DNS name: {finding}.")
    name = names.canonical(written).rstrip(".")
    outside = replace(Endpoint.outside("", fqdns=(name,)), name=name)
    return Found(
        outside,
        f"{name} is taken as an outside address that the DNS proxy learned under this name; which "
        "address is not known, so rules by prefix do not count for it.",
    )
