"""Which columns a server prints for each kind, `-o wide` included.

Names, order and wording are those of Kubernetes 1.33's printers and of the definitions that
Cilium 1.19 installs. The columns of pods and workloads are in ``columns_apps``, those of Jobs in
``columns_batch``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.kinds.resources import Resource
from acns_chaos.lab.api.reading.columns_apps import APPS
from acns_chaos.lab.api.reading.columns_batch import BATCH
from acns_chaos.lab.api.reading.printing import (
    NONE,
    UNKNOWN,
    Column,
    age,
    at,
    custom,
    label_selector,
    labels,
    name,
    shortened,
    since,
)

_NAME = Column("Name", name)
_AGE = Column("Age", age)


def _created(obj: Json) -> Any:
    return obj["metadata"].get("creationTimestamp")


_CREATED_AT = Column("Created At", _created, "date")


def _external_ip(service: Json) -> str:
    spec = service["spec"]
    own = list(spec.get("externalIPs") or ())
    match spec.get("type", "ClusterIP"):
        case "LoadBalancer":
            given = at(service, "status", "loadBalancer", "ingress") or ()
            found = [entry.get("ip") or entry.get("hostname", "") for entry in given]
            return ",".join([*filter(None, found), *own]) or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName", ""))
        case _:
            return ",".join(own) or NONE


def _service_ports(service: Json) -> str:
    shown = []
    for port in service["spec"].get("ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or NONE


def _node_status(node: Json) -> str:
    conditions = at(node, "status", "conditions") or ()
    shown = [
        "Ready" if one["status"] == "True" else "NotReady"
        for one in conditions
        if one["type"] == "Ready"
    ] or ["Unknown"]
    if at(node, "spec", "unschedulable"):
        shown.append("SchedulingDisabled")
    return ",".join(shown)


def _node_roles(node: Json) -> str:
    roles = set()
    for key, value in (node["metadata"].get("labels") or {}).items():
        prefix, _, role = key.partition("/")
        if prefix == "node-role.kubernetes.io" and role:
            roles.add(role)
        elif key == "kubernetes.io/role" and value:
            roles.add(value)
    return ",".join(sorted(roles)) or NONE


def _node_address(kind: str) -> Column:
    def cell(node: Json) -> str:
        found = at(node, "status", "addresses") or ()
        return next((str(one["address"]) for one in found if one["type"] == kind), NONE)

    return Column({"InternalIP": "Internal-IP", "ExternalIP": "External-IP"}[kind], cell, wide=True)


def _node_info(heading: str, key: str, *, wide: bool = True) -> Column:
    def cell(node: Json) -> str:
        found = at(node, "status", "nodeInfo", key) or (UNKNOWN if wide else "")
        return str(found)

    return Column(heading, cell, wide=wide)


def _endpoints(obj: Json) -> str:
    found: list[str] = []
    for subset in obj.get("subsets") or ():
        addresses = [entry["ip"] for entry in subset.get("addresses") or ()]
        ports = [port["port"] for port in subset.get("ports") or ()]
        found += [f"{ip}:{port}" for port in ports for ip in addresses] if ports else addresses
    return shortened(found)


def _slice_ports(obj: Json) -> str:
    numbers = [str(port["port"]) for port in obj.get("ports") or () if port.get("port")]
    return shortened(numbers) if numbers else "<unset>"


def _slice_endpoints(obj: Json) -> str:
    return shortened(ip for one in obj.get("endpoints") or () for ip in one["addresses"])


def _data(obj: Json) -> int:
    return len(obj.get("data") or {}) + len(obj.get("binaryData") or {})


# An event is seen in two groups, under two sets of names; the columns are the same.
def _either(event: Json, old: str, new: str) -> Any:
    return event.get(old) or event.get(new)


def _first_seen(event: Json) -> str:
    first = _either(event, "firstTimestamp", "deprecatedFirstTimestamp")
    return since(first or event.get("eventTime"))


def _last_seen(event: Json) -> str:
    last = at(event, "series", "lastObservedTime")
    last = last or _either(event, "lastTimestamp", "deprecatedLastTimestamp")
    return since(last) if last else _first_seen(event)


def _event_count(event: Json) -> Any:
    return at(event, "series", "count") or _either(event, "count", "deprecatedCount") or 1


def _event_object(event: Json) -> str:
    involved = _either(event, "involvedObject", "regarding") or {}
    kind = str(involved.get("kind", "")).lower()
    return f"{kind}/{involved.get('name', '')}" if kind else str(involved.get("name", ""))


def _event_source(event: Json) -> str:
    source = _either(event, "source", "deprecatedSource") or {}
    reporter = _either(event, "reportingComponent", "reportingController")
    shown = [source.get("component") or reporter, source.get("host")]
    return ", ".join(filter(None, shown))


def _subjects(kind: str) -> Column:
    def cell(obj: Json) -> str:
        found = [one for one in obj.get("subjects") or () if one["kind"] == kind]
        return ", ".join(
            f"{one['namespace']}/{one['name']}" if one.get("namespace") else one["name"]
            for one in found
        )

    heading = f"{kind}s"
    return Column(heading, cell, wide=True)


def _role(obj: Json) -> str:
    reference = obj.get("roleRef") or {}
    return f"{reference.get('kind', '')}/{reference.get('name', '')}"


_ACCESS = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def _access(claim: Json) -> str:
    """The access modes of a claim's volume, which a claim that is Pending has not got."""
    return ",".join(_ACCESS.get(one, one) for one in at(claim, "status", "accessModes") or ())


def _member(heading: str, *keys: str, default: str = "", wide: bool = False) -> Column:
    def cell(obj: Json) -> Any:
        found = at(obj, *keys)
        return default if found is None else found

    return Column(heading, cell, wide=wide)


_BINDING = (
    _NAME,
    Column("Role", _role),
    _AGE,
    *(_subjects(kind) for kind in ("User", "Group", "ServiceAccount")),
)
_POLICY = (
    _NAME,
    custom("Age", ".metadata.creationTimestamp", "date"),
    custom("Valid", ".status.conditions[?(@.type=='Valid')].status"),
)

COLUMNS: Mapping[str, tuple[Column, ...]] = {
    **APPS,
    **BATCH,
    "Service": (
        _NAME,
        _member("Type", "spec", "type", default="ClusterIP"),
        _member("Cluster-IP", "spec", "clusterIP", default=NONE),
        Column("External-IP", _external_ip),
        Column("Port(s)", _service_ports),
        _AGE,
        Column("Selector", lambda obj: labels(at(obj, "spec", "selector")), wide=True),
    ),
    "Node": (
        _NAME,
        Column("Status", _node_status),
        Column("Roles", _node_roles),
        _AGE,
        _node_info("Version", "kubeletVersion", wide=False),
        _node_address("InternalIP"),
        _node_address("ExternalIP"),
        _node_info("OS-Image", "osImage"),
        _node_info("Kernel-Version", "kernelVersion"),
        _node_info("Container-Runtime", "containerRuntimeVersion"),
    ),
    "Namespace": (_NAME, _member("Status", "status", "phase"), _AGE),
    "ConfigMap": (_NAME, Column("Data", _data, "integer"), _AGE),
    "Secret": (_NAME, _member("Type", "type"), Column("Data", _data, "integer"), _AGE),
    "ServiceAccount": (
        _NAME,
        Column("Secrets", lambda obj: len(obj.get("secrets") or ()), "integer"),
        _AGE,
    ),
    "Endpoints": (_NAME, Column("Endpoints", _endpoints), _AGE),
    "EndpointSlice": (
        _NAME,
        _member("AddressType", "addressType"),
        Column("Ports", _slice_ports),
        Column("Endpoints", _slice_endpoints),
        _AGE,
    ),
    "Event": (
        Column("Last Seen", _last_seen),
        _member("Type", "type"),
        _member("Reason", "reason"),
        Column("Object", _event_object),
        Column(
            "Subobject",
            lambda obj: at(_either(obj, "involvedObject", "regarding"), "fieldPath") or "",
            wide=True,
        ),
        Column("Source", _event_source, wide=True),
        Column("Message", lambda obj: str(_either(obj, "message", "note") or "").strip()),
        Column("First Seen", _first_seen, wide=True),
        Column("Count", _event_count, "integer", wide=True),
        Column("Name", name, wide=True),
    ),
    "PersistentVolumeClaim": (
        _NAME,
        _member("Status", "status", "phase"),
        _member("Volume", "spec", "volumeName"),
        _member("Capacity", "status", "capacity", "storage"),
        Column("Access Modes", _access),
        _member("StorageClass", "spec", "storageClassName"),
        _member("VolumeAttributesClass", "spec", "volumeAttributesClassName", default="<unset>"),
        _AGE,
        Column("VolumeMode", lambda obj: str(at(obj, "spec", "volumeMode") or ""), wide=True),
    ),
    "Lease": (_NAME, _member("Holder", "spec", "holderIdentity"), _AGE),
    "NetworkPolicy": (
        _NAME,
        Column("Pod-Selector", lambda obj: label_selector(at(obj, "spec", "podSelector"))),
        _AGE,
    ),
    "RoleBinding": _BINDING,
    "ClusterRoleBinding": _BINDING,
    "CiliumNetworkPolicy": _POLICY,
    "CiliumClusterwideNetworkPolicy": _POLICY,
    "CiliumEndpoint": (
        _NAME,
        custom("Security Identity", ".status.identity.id", "integer", "Security Identity"),
        custom(
            "Ingress Enforcement",
            ".status.policy.ingress.state",
            description="Ingress enforcement in the endpoint",
            wide=True,
        ),
        custom(
            "Egress Enforcement",
            ".status.policy.egress.state",
            description="Egress enforcement in the endpoint",
            wide=True,
        ),
        custom("Endpoint State", ".status.state", description="Endpoint current state"),
        custom(
            "IPv4",
            ".status.networking.addressing[0].ipv4",
            description="Endpoint IPv4 address",
        ),
        custom(
            "IPv6",
            ".status.networking.addressing[0].ipv6",
            description="Endpoint IPv6 address",
        ),
    ),
}
"""The columns by kind."""


def columns_of(resource: Resource) -> tuple[Column, ...]:
    """The columns of a kind; a kind without any of its own has its name and when it was created."""
    return COLUMNS.get(resource.kind, (_NAME, _AGE if resource.custom else _CREATED_AT))


def printer_columns(kind: str) -> Iterator[Json]:
    """The ``additionalPrinterColumns`` of a custom kind's definition."""
    for column in COLUMNS.get(kind, ()):
        if column.path:
            found: Json = {"jsonPath": column.path, "name": column.name, "type": column.type}
            if column.description:
                found["description"] = column.description
            if column.wide:
                found["priority"] = 1
            yield found
