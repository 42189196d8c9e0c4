"""The raw Kubernetes objects of generated worlds. How many of which there are is in `generated`."""

import uuid
from typing import Any

Json = dict[str, Any]
IMAGE = "shop/service:1.0.0"


def namespace(name: str) -> Json:
    """A Namespace."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "status": {"phase": "Active"},
    }


def renamed_node(node: Json, name: str, ip: str, cidr: str) -> Json:
    """A node like another one, of another pool."""
    labels = {**node["metadata"]["labels"], "kubernetes.io/hostname": name}
    labels |= {"agentpool": "nodepool1", "kubernetes.azure.com/agentpool": "nodepool1"}
    labels["kubernetes.azure.com/mode"] = "user"
    addresses = [{"type": "InternalIP", "address": ip}, {"type": "Hostname", "address": name}]
    return {
        **node,
        "metadata": {**node["metadata"], "name": name, "labels": labels},
        "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
        "status": {**node["status"], "addresses": addresses},
    }


def pod_spec(name: str, port: int) -> Json:
    """The spec of the one kind of pod there is."""
    return {
        "containers": [
            {
                "name": name,
                "image": IMAGE,
                "ports": [{"name": "http", "containerPort": port, "protocol": "TCP"}],
            }
        ],
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
    }


def deployment(name: str, namespace: str, labels: Json, port: int, replicas: int) -> Json:
    """A Deployment whose pods are all ready."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels,
            "uid": _uid("Deployment", namespace, name),
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec(name, port)},
        },
        "status": {
            "observedGeneration": 1,
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": replicas,
            "availableReplicas": replicas,
        },
    }


def replica_set(deployment: Json, hashed: str) -> Json:
    """The ReplicaSet that a Deployment has, and its pods belong to."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    name, namespace = f"{metadata['name']}-{hashed}", metadata["namespace"]
    labels = {**metadata["labels"], "pod-template-hash": hashed}
    number = spec["replicas"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels,
            "uid": _uid("ReplicaSet", namespace, name),
            "ownerReferences": [owner("Deployment", namespace, metadata["name"])],
        },
        "spec": {
            "replicas": number,
            "selector": {
                "matchLabels": {**spec["selector"]["matchLabels"], "pod-template-hash": hashed}
            },
            "template": {**spec["template"], "metadata": {"labels": labels}},
        },
        "status": {
            "observedGeneration": 1,
            "replicas": number,
            "fullyLabeledReplicas": number,
            "readyReplicas": number,
            "availableReplicas": number,
        },
    }


def owner(kind: str, namespace: str, name: str) -> Json:
    """What an object says of the Deployment or ReplicaSet that made it."""
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "name": name,
        "uid": _uid(kind, namespace, name),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _uid(kind: str, namespace: str, name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}/{namespace}/{name}"))


def service(name: str, namespace: str, ip: str, port: int, *, front: bool) -> Json:
    """A Service; the one in front has a load balancer."""
    spec = {
        "type": "LoadBalancer" if front else "ClusterIP",
        "clusterIP": ip,
        "clusterIPs": [ip],
        "internalTrafficPolicy": "Cluster",
        "selector": {"app": name},
        "ports": [{"name": "http", "port": port, "protocol": "TCP", "targetPort": port}],
    }
    ingress = [{"ip": "203.0.113.80", "ipMode": "VIP"}] if front else None
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
        "status": {"loadBalancer": {"ingress": ingress} if ingress else {}},
    }


def to_port(port: int) -> Json:
    """The part of a rule that names one TCP port."""
    return {"toPorts": [{"ports": [{"port": str(port), "protocol": "TCP"}]}]}


def dns_rule() -> Json:
    """The rule that lets DNS out, to the cluster's own server."""
    kube_dns = {"k8s:io.kubernetes.pod.namespace": "kube-system", "k8s:k8s-app": "kube-dns"}
    return {
        "toEndpoints": [{"matchLabels": kube_dns}],
        "toPorts": [
            {
                "ports": [{"port": "53", "protocol": "ANY"}],
                "rules": {"dns": [{"matchPattern": "*"}]},
            }
        ],
    }
