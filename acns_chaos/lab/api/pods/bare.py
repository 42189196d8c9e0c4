"""Bare pods: what a client may create of a pod, and what a real API server makes of it.

A bare pod has one container and no controller. What the lab would not act on (volumes, probes, init
containers, ...) is refused by name. Who schedules and runs it is in ``controllers.bare_pods``.
"""

from typing import Any

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.failures import Failure, Json, Problem
from acns_chaos.lab.api.kinds.schema import quoted
from acns_chaos.lab.api.store import Store
from acns_chaos.policy.schema import ANY, BOOLEAN, INTEGER, STRING, STRING_MAP, STRINGS, Field
from acns_chaos.policy.schema_native import kind_schema

GRACE = 30
_NODE_TROUBLE = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")

_AMOUNTS = Field(values=Field("int-or-string"))
_CONTAINER = Field(
    fields={
        "args": STRINGS,
        "command": STRINGS,
        "env": Field("array", items=Field(fields={"name": STRING, "value": STRING})),
        "image": STRING,
        "imagePullPolicy": Field("string", enum=("Always", "IfNotPresent", "Never")),
        "name": STRING,
        "ports": Field(
            "array",
            items=Field(
                fields={
                    "containerPort": Field("integer", minimum=1, maximum=65535),
                    "name": STRING,
                    "protocol": Field("string", enum=("SCTP", "TCP", "UDP"), default="TCP"),
                }
            ),
        ),
        "resources": Field(fields={"limits": _AMOUNTS, "requests": _AMOUNTS}),
        "securityContext": ANY,
        "terminationMessagePath": STRING,
        "terminationMessagePolicy": STRING,
    },
    required=("name", "image"),
)
POD = kind_schema(
    spec=Field(
        fields={
            "activeDeadlineSeconds": Field("integer", minimum=1, maximum=2147483647),
            "automountServiceAccountToken": BOOLEAN,
            "containers": Field("array", items=_CONTAINER),
            "dnsPolicy": Field("string", enum=("ClusterFirst",)),
            "enableServiceLinks": BOOLEAN,
            "nodeSelector": STRING_MAP,
            "preemptionPolicy": STRING,
            "priority": INTEGER,
            "readinessGates": Field("array", items=Field(fields={"conditionType": STRING})),
            "restartPolicy": Field("string", enum=("Always", "OnFailure", "Never")),
            "schedulerName": Field("string", enum=("default-scheduler",)),
            "securityContext": ANY,
            "serviceAccount": STRING,
            "serviceAccountName": STRING,
            "terminationGracePeriodSeconds": Field("integer", minimum=0),
            "tolerations": Field("array", items=ANY),
        },
        required=("containers",),
    ),
    status=ANY,
)
"""What of a new pod the lab acts on, or takes because nothing has to act on it."""

# Members of a real pod that the lab does not act on.
_NOT_MODELLED = {
    "spec": (  # noqa: SIM905 - a list of that many names is read as one text
        "affinity dnsConfig ephemeralContainers hostAliases hostIPC hostNetwork hostPID hostUsers "
        "hostname hostnameOverride imagePullSecrets initContainers nodeName os overhead "
        "priorityClassName resourceClaims resources runtimeClassName schedulingGates "
        "setHostnameAsFQDN shareProcessNamespace subdomain topologySpreadConstraints volumes"
    ).split(),
    "container": (  # noqa: SIM905
        "envFrom lifecycle livenessProbe readinessProbe resizePolicy restartPolicy startupProbe "
        "stdin stdinOnce tty volumeDevices volumeMounts workingDir"
    ).split(),
}


def require_modelled(sent: Any) -> None:
    """Refuse what a real server would take and nothing here would act on.

    Args:
        sent: the body of a create, not looked at yet.

    Raises:
        Failure: 501 with its name.
    """
    spec = sent.get("spec") if isinstance(sent, dict) else None
    if not isinstance(spec, dict):
        return
    containers = spec.get("containers")
    parts = [("spec", "spec", spec)]
    if isinstance(containers, list):
        if len(containers) > 1:
            raise failures.not_modelled("a pod that a client creates with several containers")
        parts += [
            (f"spec.containers[{number}]", "container", one)
            for number, one in enumerate(containers)
            if isinstance(one, dict)
        ]
    for path, kind, part in parts:
        for name in _NOT_MODELLED[kind]:
            if part.get(name) not in (None, [], {}, False, ""):
                raise failures.not_modelled(f"{path}.{name} of a pod that a client creates")


def complete(pod: Json) -> None:
    """Put in what a server puts into a new pod; it is Pending from then on.

    Args:
        pod: a new pod that fits the schema.

    Raises:
        Failure: 422 for what a server refuses beyond the schema.
    """
    if problems := _problems(pod):
        raise failures.invalid("Pod", "", pod["metadata"].get("name", ""), problems)
    spec = pod["spec"]
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", GRACE)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("securityContext", {})
    account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = account
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec.setdefault("priority", 0)
    given = {one.get("key") for one in spec.get("tolerations") or () if isinstance(one, dict)}
    usual = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    spec["tolerations"] = [
        *(spec.get("tolerations") or ()),
        *({"key": key, **usual} for key in _NODE_TROUBLE if key not in given),
    ]
    for container in spec["containers"]:
        latest = container["image"].rpartition("/")[2].partition(":")[2] in ("", "latest")
        container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
        container.setdefault("resources", {})
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
    pod["status"] = {"phase": "Pending", "qosClass": _quality(spec["containers"])}


def require_account(store: Store, pod: Json) -> None:
    """Refuse a pod of an account that is not there, as the admission of accounts does.

    Raises:
        Failure: 403.
    """
    metadata, account = pod["metadata"], pod["spec"]["serviceAccountName"]
    if store.find("ServiceAccount", metadata["namespace"], account) is None:
        name = metadata["name"]
        message = (
            f'pods "{name}" is forbidden: error looking up service account '
            f'{metadata["namespace"]}/{account}: serviceaccount "{account}" not found'
        )
        raise Failure(403, "Forbidden", message, failures.details("", "pods", name))


def grace_of(pod: Json, asked: int | None) -> int:
    """Seconds from a pod's deletion to its end: 0 where no container runs."""
    runs = pod["spec"].get("nodeName") and pod["status"].get("phase") in ("Pending", "Running")
    usual = pod["spec"].get("terminationGracePeriodSeconds", GRACE)
    return int(usual if asked is None else asked) if runs else 0


def _problems(pod: Json) -> list[Problem]:
    """Rules of a new pod beyond its schema."""
    containers = pod.get("spec", {}).get("containers")
    if not pod.get("spec") or not containers:
        return [Problem("spec.containers", "Required value")]
    problems = []
    for number, gate in enumerate(pod["spec"].get("readinessGates") or ()):
        if not gate.get("conditionType"):
            where = f"spec.readinessGates[{number}].conditionType"
            why = f"{quoted('')}: name part must be non-empty"
            problems.append(Problem(where, "Invalid value", why))
    return problems


def _quality(containers: list[Json]) -> str:
    """The class of service that requests and limits make."""
    asked = [one.get("resources") or {} for one in containers]
    if not any(one.get("requests") or one.get("limits") for one in asked):
        return "BestEffort"
    limits = [one.get("limits") or {} for one in asked]
    equal = all((one.get("requests") or one.get("limits")) == one.get("limits") for one in asked)
    whole = all({"cpu", "memory"} <= set(one) for one in limits)
    return "Guaranteed" if equal and whole else "Burstable"
