"""Kubernetes services, as far as toServices needs them.

Belongs here: reading services and finding those a rule means. Does not belong here: load
balancing; a flow's port is the one after translation.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from acns_chaos.errors import PolicyError
from acns_chaos.policy.schema_native import ENDPOINT_SLICE, SERVICE
from acns_chaos.policy.selectors import ANY, Selector, parse
from acns_chaos.policy.shape import require_shape


@dataclass(frozen=True, slots=True)
class Service:
    """A service.

    Attributes:
        name: its name.
        namespace: its namespace.
        labels: its labels, each "k8s:key=value".
        selector: the pods it selects, (key, value) pairs; empty for one without a selector.
        backends: the addresses of a service without a selector.
    """

    name: str
    namespace: str
    labels: frozenset[str]
    selector: tuple[tuple[str, str], ...]
    backends: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, obj: Mapping[str, Any], backends: Sequence[str] = ()) -> Self:
        """A service from a raw Service object or from its short form.

        Args:
            obj: a Service, or {"name", "namespace", "labels", "selector", "backends"}.
            backends: addresses of a raw service, from its EndpointSlices.
        """
        metadata = obj.get("metadata")
        if not metadata:
            spec, metadata = obj, obj
            backends = obj.get("backends") or ()
        else:
            spec = obj.get("spec") or {}
        return cls(
            name=metadata["name"],
            namespace=metadata.get("namespace") or "default",
            labels=frozenset(f"k8s:{k}={v}" for k, v in (metadata.get("labels") or {}).items()),
            selector=tuple(sorted((spec.get("selector") or {}).items())),
            backends=tuple(backends),
        )


def read_services(objects: Iterable[Mapping[str, Any]]) -> tuple[Service, ...]:
    """The services among raw objects.

    Args:
        objects: Services (raw or short form) and, for services without a selector, the
            EndpointSlices that hold their addresses. Other kinds are passed over.

    Raises:
        PolicyError: a Service or an EndpointSlice cannot be read.
    """
    objects = list(objects)
    for obj in objects:
        _require(obj)
    addresses: dict[tuple[str, str], list[str]] = {}
    for obj in objects:
        if obj.get("kind") == "EndpointSlice":
            metadata = obj.get("metadata") or {}
            owner = (metadata.get("labels") or {}).get("kubernetes.io/service-name", "")
            known = addresses.setdefault((metadata.get("namespace") or "default", owner), [])
            for endpoint in obj.get("endpoints") or ():
                known.extend(endpoint.get("addresses") or ())
    services = []
    for obj in objects:
        if obj.get("kind", "Service") == "Service":
            service = Service.from_json(obj)
            found = addresses.get((service.namespace, service.name), ())
            services.append(Service.from_json(obj, found) if found else service)
    return tuple(services)


def _require(obj: Mapping[str, Any]) -> None:
    kind = obj.get("kind", "Service") if isinstance(obj, Mapping) else "Service"
    if kind in ("Service", "EndpointSlice"):
        require_shape(obj, SERVICE if kind == "Service" else ENDPOINT_SLICE, kind)
    if kind == "Service" and not (obj.get("metadata") or obj).get("name"):
        raise PolicyError("A Service has no metadata.name; give the object its name.")


def meant(item: Mapping[str, Any], services: Iterable[Service]) -> tuple[Service, ...]:
    """The services that one item of toServices means.

    Args:
        item: {"k8sService": {...}} or {"k8sServiceSelector": {...}}; of both, the selector
            counts.
        services: all services.
    """
    by_label = item.get("k8sServiceSelector")
    if not by_label:
        by_name = item.get("k8sService") or {}
        name, namespace = by_name.get("serviceName") or "", by_name.get("namespace") or ""
        return tuple(s for s in services if s.name == name and namespace in {"", s.namespace})
    namespace = by_label.get("namespace") or ""
    conditions = parse(by_label.get("selector"))
    # Sources are ignored here: "k8s:env" and "env" mean the same label of the service.
    selector = Selector(tuple(type(c)(ANY, c.key, c.operator, c.values) for c in conditions))
    return tuple(
        s for s in services if namespace in {"", s.namespace} and selector.matches(s.labels)
    )
