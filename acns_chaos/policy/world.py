"""A world: everything that verdicts depend on, built from raw Kubernetes objects.

Belongs here: sorting objects into what the engine takes, and which endpoints there are. Does not
belong here: finding one of them by what a person types (`lookup`), and reading files or clusters.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self, TypeVar

from acns_chaos.errors import PolicyError
from acns_chaos.policy.addresses import CidrGroup
from acns_chaos.policy.assumed import assumed_pods
from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.identities import Identities
from acns_chaos.policy.lookup import Directory, Found
from acns_chaos.policy.model import KINDS, ObjectRef, Settings, Verdict
from acns_chaos.policy.owners import owner_name, template_pods
from acns_chaos.policy.services import read_services
from acns_chaos.policy.validity import problems
from acns_chaos.policy.verdict import Engine

__all__ = ["World", "assumed_note", "verdict"]

Raw = Mapping[str, Any]
T = TypeVar("T")

_UNUSABLE = (TypeError, AttributeError, KeyError, ValueError)
_GONE = frozenset(["Succeeded", "Failed"])


@dataclass(frozen=True)
class World:
    """The policies and everything they are about, at one moment. It never changes.

    Make one with `World.of` from Kubernetes objects, or with `World.from_json` from a description.

    Attributes:
        policies: raw policy objects, each once.
        endpoints: every pod, and whatever else was described.
        namespaces: labels of the namespaces.
        services: raw Service and EndpointSlice objects, or services in short form.
        cidr_groups: raw CiliumCIDRGroup objects.
        settings: of the agents.
        workloads: endpoint name to workload, "pets/store-front-68846476f4-x2x9k" to
            "pets/store-front".
        hosts: pods in the host network and nodes, which policy sees as nodes.
        assumed: those of `endpoints` that no object describes: policies speak of them.
        complete: the pods are all there are; otherwise others may be assumed.
    """

    policies: tuple[Raw, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    services: tuple[Raw, ...] = ()
    cidr_groups: tuple[Raw, ...] = ()
    settings: Settings = field(default_factory=Settings)
    workloads: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[Endpoint, ...] = ()
    assumed: frozenset[Endpoint] = frozenset()
    complete: bool = True

    @classmethod
    def of(
        cls, objects: Iterable[Raw], *, settings: Settings | None = None, complete: bool = False
    ) -> Self:
        """A world from Kubernetes objects.

        Args:
            objects: raw, in any order: policies of the three kinds, Pods (or the Deployments and
                the like that would make them), Namespaces, Services, EndpointSlices, Nodes and
                CiliumCIDRGroups. Other kinds are passed over. Of an object that is there twice
                the later one counts.
            settings: of the agents; Cilium's defaults when None.
            complete: the pods are all there are, as in a live cluster. Otherwise pods are assumed
                that policies speak of, in each namespace of which no pod is known.

        Raises:
            PolicyError: an object is malformed beyond reading. A policy that the agents would
                refuse is not: it stands in `invalid`.
        """
        settings = settings or Settings()
        kinds = _by_kind(objects)
        namespaces = {
            str(one["metadata"]["name"]): _read(one, _labels, one)
            for one in kinds.get("Namespace", ())
        }
        pods = [one for one in kinds.get("Pod", ()) if not _is_gone(one)]
        there = {_full_workload(pod) for pod in pods}
        for several in kinds.values():
            for one in several:
                pods += [
                    p for p in _read(one, template_pods, [one]) if _full_workload(p) not in there
                ]
        endpoints: list[Endpoint] = []
        hosts = [_read(one, _node, one) for one in kinds.get("Node", ())]
        workloads: dict[str, str] = {}
        for pod in pods:
            endpoint = _read(pod, _endpoint, pod, namespaces, settings)
            (endpoints if endpoint.kind == "pod" else hosts).append(endpoint)
            workloads[endpoint.name] = _full_workload(pod)
        policies = tuple(one for kind in KINDS for one in kinds.get(kind, ()))
        services = (*kinds.get("Service", ()), *kinds.get("EndpointSlice", ()))
        groups = tuple(kinds.get("CiliumCIDRGroup", ()))
        for service in services:
            _read(service, read_services, [service])
        for group in groups:
            _read(group, CidrGroup.of, group)
        return cls(
            endpoints=tuple(endpoints),
            namespaces=namespaces,
            services=services,
            cidr_groups=groups,
            settings=settings,
            workloads=workloads,
            hosts=tuple(hosts),
            complete=complete,
        ).with_policies(policies)

    @classmethod
    def from_json(cls, description: Raw) -> Self:
        """A world from its short form, the one of the sample vectors.

        Args:
            description: {"policies", "namespaces"?, "services"?, "cidrGroups"?, "config"?} and
                either "endpoints" (name to endpoint) or "flow" (with "source" and "destination").

        Raises:
            PolicyError: it is no such description.
        """
        try:
            namespaces = dict(description.get("namespaces") or {})
            flow = description.get("flow") or {}
            named = dict(description.get("endpoints") or {})
            named |= {key: flow[key] for key in ("source", "destination") if key in flow}
            return cls(
                policies=tuple(description.get("policies") or ()),
                endpoints=tuple(Endpoint.from_json(one, namespaces) for one in named.values()),
                namespaces=namespaces,
                services=tuple(description.get("services") or ()),
                cidr_groups=tuple(description.get("cidrGroups") or ()),
                settings=Settings.from_json(description.get("config") or {}),
            )
        except _UNUSABLE as error:
            raise PolicyError(f"This describes no world ({_why(error)}).") from error

    @cached_property
    def engine(self) -> Engine:
        """The engine that judges in this world."""
        return Engine(
            self.policies,
            namespaces=self.namespaces,
            endpoints=self.endpoints,
            services=self.services,
            cidr_groups=self.cidr_groups,
            settings=self.settings,
        )

    @property
    def invalid(self) -> Mapping[ObjectRef, tuple[str, ...]]:
        """The policies that the agents do not import, with the reasons. They have no effect."""
        return self.engine.invalid

    @cached_property
    def identities(self) -> Identities:
        """How this cluster sees endpoints, as subjects and as peers."""
        return Identities(self.settings, self.namespaces, self.endpoints)

    @cached_property
    def directory(self) -> Directory:
        """What can be found by name here."""
        return Directory(
            endpoints=(*self.endpoints, *self.hosts),
            workloads=self.workloads,
            namespaces=self.namespaces,
            services=read_services(self.services),
            raw_services=self.services,
        )

    def find(self, text: str) -> Endpoint:
        """The endpoint that a person means.

        Args:
            text: a workload ("pets/store-front", by its owner or app label), a pod
                ("pod:pets/store-front-x2x9k"), labels ("labels:pets/app=store-front": a pod with
                exactly these, which need not exist), an entity ("world", "host", "remote-node",
                "kube-apiserver" and so on), an address ("10.0.0.1", "2001:db8::1") or a DNS name
                ("www.bing.com": an outside address that was learned under this name).

        Raises:
            PolicyError: nothing or too much is meant by it; the sentence says what there is.
        """
        return self.directory.find(text).endpoint

    def lookup(self, text: str) -> Found:
        """As `find`, with what a person should know about the answer."""
        return self.directory.find(text)

    def workload(self, endpoint: Endpoint) -> str:
        """The workload of an endpoint as "namespace/name", or its own name if it has none."""
        return self.workloads.get(endpoint.name, endpoint.name)

    def with_policies(self, policies: Iterable[Raw]) -> Self:
        """The same world with these policies instead.

        Args:
            policies: raw; of an object that is there twice the later one counts.

        Raises:
            PolicyError: an object is no policy.
        """
        found: dict[ObjectRef, Raw] = {}
        for policy in policies:
            ref = ObjectRef.of(policy)
            found.pop(ref, None)
            found[ref] = policy
        given = tuple(e for e in self.endpoints if e not in self.assumed)
        assumed: tuple[Endpoint, ...] = ()
        if not self.complete:
            valid = [one for one in found.values() if not problems(one, self.settings)]
            assumed = assumed_pods(valid, self.namespaces, {e.namespace for e in given})
        return replace(
            self,
            policies=tuple(found.values()),
            endpoints=(*given, *assumed),
            assumed=frozenset(assumed),
        )


def verdict(
    world: World,
    source: Endpoint | str,
    destination: Endpoint | str,
    port: int | None,
    protocol: str = "TCP",
    *,
    icmp_type: int | None = None,
    dns_query: str | None = None,
    http: Raw | None = None,
) -> Verdict:
    """What becomes of a flow, and why.

    Args:
        world: where.
        source: who opens the connection: an endpoint, or text as for `World.find`.
        destination: who is asked, after service translation.
        port: destination port after service translation; None for ICMP.
        protocol: TCP, UDP, SCTP, ICMP, ICMPv6, VRRP or IGMP.
        icmp_type: for ICMP; an echo request when None.
        dns_query: the name asked for, when the flow is a DNS query.
        http: {"method", "path", "host", "headers"}, when the flow is an HTTP request.

    Raises:
        PolicyError: nobody is meant by a text, the protocol is not known, or the port is none.
    """
    return world.engine.verdict(
        world.find(source) if isinstance(source, str) else source,
        world.find(destination) if isinstance(destination, str) else destination,
        port,
        protocol,
        icmp_type=icmp_type,
        dns_query=dns_query,
        http=http,
    )


def _by_kind(objects: Iterable[Raw]) -> dict[str, list[Raw]]:
    """The objects that matter, by kind, each once: the later one counts."""
    kinds: dict[str, dict[tuple[str, str], Raw]] = {}
    for obj in objects:
        kind = obj.get("kind") if isinstance(obj, Mapping) else None
        if not isinstance(kind, str):
            raise PolicyError(f"An object without a kind was given: {str(obj)[:60]!r}.")
        if kind in KINDS:
            ref = ObjectRef.of(obj)
            key = (ref.namespace, ref.name)
        else:
            metadata = obj.get("metadata")
            if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
                raise PolicyError(f"A {kind} has no metadata.name; give the object its name.")
            key = (str(metadata.get("namespace") or ""), metadata["name"])
        of_kind = kinds.setdefault(kind, {})
        of_kind.pop(key, None)
        of_kind[key] = obj
    return {kind: list(found.values()) for kind, found in kinds.items()}


def _read(obj: Raw, function: Callable[..., T], *arguments: Any) -> T:
    """What a function makes of an object.

    Raises:
        PolicyError: it is malformed beyond reading.
    """
    try:
        return function(*arguments)
    except _UNUSABLE as error:
        metadata = obj.get("metadata")
        named = metadata if isinstance(metadata, Mapping) else {}
        full = "/".join(str(named[key]) for key in ("namespace", "name") if named.get(key))
        raise PolicyError(
            f"The {obj.get('kind', 'object')} {full} is malformed and cannot be read: "
            f"{_why(error)}."
        ) from error


def _labels(obj: Raw) -> dict[str, str]:
    return {str(k): str(v) for k, v in (obj["metadata"].get("labels") or {}).items()}


def _namespace(pod: Raw) -> str:
    return str(pod["metadata"].get("namespace") or "default")


def _full_workload(pod: Raw) -> str:
    return f"{_namespace(pod)}/{_read(pod, owner_name, pod)}"


def _is_gone(pod: Raw) -> bool:
    status = pod.get("status")
    return isinstance(status, Mapping) and str(status.get("phase")) in _GONE


def _endpoint(
    pod: Raw, namespaces: Mapping[str, Mapping[str, str]], settings: Settings
) -> Endpoint:
    namespace = _namespace(pod)
    return Endpoint.from_pod(
        {**pod, "metadata": {**pod["metadata"], "namespace": namespace}},
        {"metadata": {"labels": namespaces.get(namespace, {})}},
        cluster=settings.cluster_name,
    )


def _node(obj: Raw) -> Endpoint:
    """A node, as seen from other nodes."""
    addresses = (obj.get("status") or {}).get("addresses") or ()
    internal = [one["address"] for one in addresses if one.get("type") == "InternalIP"]
    found = Endpoint.entity(
        "remote-node", node_labels=_labels(obj), ip=str(internal[0]) if internal else ""
    )
    return replace(found, name=f"node {obj['metadata']['name']}")


def _why(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"it lacks {text}" if isinstance(error, KeyError) else text[:120]


def assumed_note(world: World) -> str:
    """What a person should know of the pods that were assumed, in one sentence."""
    spaces = ", ".join(sorted({pod.namespace for pod in world.assumed}))
    many = len(world.assumed)
    return (
        f"Nobody says which pods there are in {spaces}: {many} {'is' if many == 1 else 'are'} "
        "assumed from the labels that policies select, without container ports."
    )
