"""The template of a pod, as kinds hold it that make pods: its schema, what a server fills in.

The fields are those of Kubernetes 1.33. What the sources of rare volumes hold is kept as it is.
Nothing here makes a pod. Not here: what a server refuses (`pod_checks`), and the kinds that hold a
template (`batch_kinds`).
"""

from collections.abc import Iterator, Mapping

from acns_chaos.lab.api.failures import Json
from acns_chaos.policy.schema import ANY, BOOLEAN, INTEGER, STRING, STRING_MAP, STRINGS, Field
from acns_chaos.policy.schema_native import METADATA


def struct(*, texts: str = "", numbers: str = "", flags: str = "", **others: Field) -> Field:
    """An object whose plain members are given as words, the others by name."""
    plain = ((texts, STRING), (numbers, INTEGER), (flags, BOOLEAN))
    fields = {name: kind for words, kind in plain for name in words.split()}
    return Field(fields={**fields, **{name.rstrip("_"): one for name, one in others.items()}})


def listed(item: Field) -> Field:
    """A list of something."""
    return Field("array", items=item)


SELECTOR = struct(
    matchExpressions=listed(struct(texts="key operator", values=STRINGS)), matchLabels=STRING_MAP
)
_PORT = Field("int-or-string")
_QUANTITY = Field("any", format="quantity")
_QUANTITIES = Field(values=_QUANTITY)
_KEY = struct(texts="key name", flags="optional")
_FIELD = struct(texts="apiVersion fieldPath")
_RESOURCE_FIELD = struct(texts="containerName resource", divisor=_QUANTITY)
_SECCOMP = struct(texts="localhostProfile type")
_IDENTITY = {
    "appArmorProfile": _SECCOMP,
    "seccompProfile": _SECCOMP,
    "seLinuxOptions": struct(texts="level role type user"),
    "windowsOptions": struct(
        texts="gmsaCredentialSpec gmsaCredentialSpecName runAsUserName", flags="hostProcess"
    ),
}
_EXEC = struct(command=STRINGS)
_HTTP = struct(texts="host path scheme", httpHeaders=listed(struct(texts="name value")), port=_PORT)
_TCP = struct(texts="host", port=_PORT)
_HANDLER = struct(exec_=_EXEC, httpGet=_HTTP, sleep=struct(numbers="seconds"), tcpSocket=_TCP)
_PROBE = struct(
    numbers="failureThreshold initialDelaySeconds periodSeconds successThreshold "
    "terminationGracePeriodSeconds timeoutSeconds",
    exec_=_EXEC,
    grpc=struct(texts="service", numbers="port"),
    httpGet=_HTTP,
    tcpSocket=_TCP,
)
_RESOURCES = struct(
    claims=listed(struct(texts="name request")), limits=_QUANTITIES, requests=_QUANTITIES
)
_ENV = struct(
    texts="name value",
    valueFrom=struct(
        configMapKeyRef=_KEY,
        fieldRef=_FIELD,
        resourceFieldRef=_RESOURCE_FIELD,
        secretKeyRef=_KEY,
    ),
)
_OPTIONAL_NAME = struct(texts="name", flags="optional")
_CONTAINER = struct(
    texts="image imagePullPolicy name restartPolicy terminationMessagePath "
    "terminationMessagePolicy workingDir",
    flags="stdin stdinOnce tty",
    args=STRINGS,
    command=STRINGS,
    env=listed(_ENV),
    envFrom=listed(struct(texts="prefix", configMapRef=_OPTIONAL_NAME, secretRef=_OPTIONAL_NAME)),
    lifecycle=struct(texts="stopSignal", postStart=_HANDLER, preStop=_HANDLER),
    livenessProbe=_PROBE,
    ports=listed(struct(texts="hostIP name protocol", numbers="containerPort hostPort")),
    readinessProbe=_PROBE,
    resizePolicy=listed(struct(texts="resourceName restartPolicy")),
    resources=_RESOURCES,
    securityContext=struct(
        texts="procMount",
        numbers="runAsGroup runAsUser",
        flags="allowPrivilegeEscalation privileged readOnlyRootFilesystem runAsNonRoot",
        capabilities=struct(add=STRINGS, drop=STRINGS),
        **_IDENTITY,
    ),
    startupProbe=_PROBE,
    volumeDevices=listed(struct(texts="devicePath name")),
    volumeMounts=listed(
        struct(
            texts="mountPath mountPropagation name recursiveReadOnly subPath subPathExpr",
            flags="readOnly",
        )
    ),
)
_ITEMS = listed(struct(texts="key path", numbers="mode"))
_DOWNWARD = listed(
    struct(texts="path", numbers="mode", fieldRef=_FIELD, resourceFieldRef=_RESOURCE_FIELD)
)
_PROJECTIONS = listed(
    struct(
        clusterTrustBundle=struct(
            texts="name path signerName", flags="optional", labelSelector=SELECTOR
        ),
        configMap=struct(texts="name", flags="optional", items=_ITEMS),
        downwardAPI=struct(items=_DOWNWARD),
        secret=struct(texts="name", flags="optional", items=_ITEMS),
        serviceAccountToken=struct(texts="audience path", numbers="expirationSeconds"),
    )
)
# Sources whose members are not described: nothing of ours mounts one.
_RARE = (
    "awsElasticBlockStore azureDisk azureFile cephfs cinder csi ephemeral fc flexVolume flocker "
    "gcePersistentDisk gitRepo glusterfs image iscsi nfs photonPersistentDisk portworxVolume "
    "quobyte rbd scaleIO storageos vsphereVolume"
)
SOURCES: Mapping[str, Field] = {
    "configMap": struct(texts="name", numbers="defaultMode", flags="optional", items=_ITEMS),
    "downwardAPI": struct(numbers="defaultMode", items=_DOWNWARD),
    "emptyDir": struct(texts="medium", sizeLimit=_QUANTITY),
    "hostPath": struct(texts="path type"),
    "persistentVolumeClaim": struct(texts="claimName", flags="readOnly"),
    "projected": struct(numbers="defaultMode", sources=_PROJECTIONS),
    "secret": struct(texts="secretName", numbers="defaultMode", flags="optional", items=_ITEMS),
    **dict.fromkeys(_RARE.split(), ANY),
}
"""Where the content of a volume may come from."""

_TERM = struct(
    matchExpressions=listed(struct(texts="key operator", values=STRINGS)),
    matchFields=listed(struct(texts="key operator", values=STRINGS)),
)
_POD_TERM = struct(
    texts="topologyKey",
    labelSelector=SELECTOR,
    matchLabelKeys=STRINGS,
    mismatchLabelKeys=STRINGS,
    namespaceSelector=SELECTOR,
    namespaces=STRINGS,
)
_NEAR = struct(
    preferredDuringSchedulingIgnoredDuringExecution=listed(
        struct(numbers="weight", podAffinityTerm=_POD_TERM)
    ),
    requiredDuringSchedulingIgnoredDuringExecution=listed(_POD_TERM),
)
_AFFINITY = struct(
    nodeAffinity=struct(
        preferredDuringSchedulingIgnoredDuringExecution=listed(
            struct(numbers="weight", preference=_TERM)
        ),
        requiredDuringSchedulingIgnoredDuringExecution=struct(nodeSelectorTerms=listed(_TERM)),
    ),
    podAffinity=_NEAR,
    podAntiAffinity=_NEAR,
)
_NAMES = listed(struct(texts="name"))
POD_SPEC = struct(
    texts="dnsPolicy hostname nodeName preemptionPolicy priorityClassName restartPolicy "
    "runtimeClassName schedulerName serviceAccount serviceAccountName subdomain",
    numbers="activeDeadlineSeconds priority terminationGracePeriodSeconds",
    flags="automountServiceAccountToken enableServiceLinks hostIPC hostNetwork hostPID hostUsers "
    "setHostnameAsFQDN shareProcessNamespace",
    affinity=_AFFINITY,
    containers=listed(_CONTAINER),
    dnsConfig=struct(
        nameservers=STRINGS, options=listed(struct(texts="name value")), searches=STRINGS
    ),
    ephemeralContainers=listed(Field(fields={**_CONTAINER.fields, "targetContainerName": STRING})),
    hostAliases=listed(struct(texts="ip", hostnames=STRINGS)),
    imagePullSecrets=_NAMES,
    initContainers=listed(_CONTAINER),
    nodeSelector=STRING_MAP,
    os=struct(texts="name"),
    overhead=_QUANTITIES,
    readinessGates=listed(struct(texts="conditionType")),
    resourceClaims=listed(struct(texts="name resourceClaimName resourceClaimTemplateName")),
    resources=_RESOURCES,
    schedulingGates=_NAMES,
    securityContext=struct(
        texts="fsGroupChangePolicy seLinuxChangePolicy supplementalGroupsPolicy",
        numbers="fsGroup runAsGroup runAsUser",
        flags="runAsNonRoot",
        supplementalGroups=listed(INTEGER),
        sysctls=listed(struct(texts="name value")),
        **_IDENTITY,
    ),
    tolerations=listed(struct(texts="effect key operator value", numbers="tolerationSeconds")),
    topologySpreadConstraints=listed(
        struct(
            texts="nodeAffinityPolicy nodeTaintsPolicy topologyKey whenUnsatisfiable",
            numbers="maxSkew minDomains",
            labelSelector=SELECTOR,
            matchLabelKeys=STRINGS,
        )
    ),
    volumes=listed(Field(fields={"name": STRING, **SOURCES})),
)
POD_TEMPLATE = struct(metadata=METADATA, spec=POD_SPEC)

LISTS_BY_KEY: Mapping[str, tuple[str, ...]] = {
    "claims": ("name",),
    "containers": ("name",),
    "env": ("name",),
    "ephemeralContainers": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ports": ("containerPort", "protocol"),
    "resourceClaims": ("name",),
    "schedulingGates": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
"""The lists of a template that merge item by item, and what tells their items apart."""

WHOLE = frozenset(
    [
        "configMapKeyRef",
        "fieldRef",
        "labelSelector",
        "namespaceSelector",
        "nodeSelector",
        "resourceFieldRef",
        "requiredDuringSchedulingIgnoredDuringExecution",
        "secretKeyRef",
        "selector",
    ]
)
"""The objects of a template that are replaced as a whole."""


def inside(path: str) -> bool:
    """Whether a joined path lies inside a pod's template."""
    return ".template.spec." in f".{path}"


# ---------------------------------------------------------------------- what a server fills in


def containers_of(spec: Json) -> Iterator[Json]:
    """The containers of a pod, those that come first included."""
    for key in ("initContainers", "containers"):
        yield from spec.get(key) or ()


def fill(spec: Json) -> None:
    """Put a server's defaults into the spec of a pod's template."""
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    spec.setdefault("terminationGracePeriodSeconds", 30)
    if account := spec.get("serviceAccountName") or spec.get("serviceAccount"):
        # The older name is kept in step for old clients.
        spec["serviceAccount"] = spec["serviceAccountName"] = account
    for container in containers_of(spec):
        _fill_container(container)
    for volume in spec.get("volumes") or ():
        _fill_volume(volume)


def _fill_container(container: Json) -> None:
    _, _, tag = str(container.get("image", "")).rpartition("/")[2].partition(":")
    newest = tag in {"", "latest"} and "@" not in str(container.get("image", ""))
    container.setdefault("imagePullPolicy", "Always" if newest else "IfNotPresent")
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for variable in container.get("env") or ():
        if reference := (variable.get("valueFrom") or {}).get("fieldRef"):
            reference.setdefault("apiVersion", "v1")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe := container.get(name):
            probe.setdefault("timeoutSeconds", 1)
            probe.setdefault("periodSeconds", 10)
            probe.setdefault("successThreshold", 1)
            probe.setdefault("failureThreshold", 3)
            if asked := probe.get("httpGet"):
                asked.setdefault("path", "/")
                asked.setdefault("scheme", "HTTP")


def _fill_volume(volume: Json) -> None:
    if not set(volume) & set(SOURCES):
        volume["emptyDir"] = {}
    for name in ("configMap", "downwardAPI", "projected", "secret"):
        if name in volume:
            volume[name].setdefault("defaultMode", 0o644)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    for source in (volume.get("projected") or {}).get("sources") or ():
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
