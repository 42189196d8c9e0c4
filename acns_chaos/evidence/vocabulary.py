"""Which words of a journal are names or addresses, and of what.

Found in three ways: where a name is known to stand (a policy's `metadata.name`, an argument
`workload`), by form (addresses, DNS names, UIDs, e-mail addresses, paths, digests), and because it
is made of a known name (a pod of a known workload). The words of the journal's own structure, such
as keys, readings and kinds, are never names: a report must still read and be judged the same.
"""

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from acns_chaos.evidence.facts import SECTION
from acns_chaos.evidence.values import mapping

__all__ = ["KINDS", "TOKEN", "names_in", "strings_in"]

KINDS = (
    *("address", "context", "digest", "dns", "host", "label", "mail", "name", "namespace", "node"),
    *("path", "pod", "policy", "secret", "service", "uid", "user", "word", "workload"),
)


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


TOKEN = re.compile(rf"(?<![\w-])(?:{'|'.join(KINDS)})-[1-9]\d*(?![\w-])")

# A value under one of these keys is a name of that kind; "namespace/name" is two.
_NAMED = {
    **dict.fromkeys(("namespace", "namespaces", "from_namespace", "to_namespace"), "namespace"),
    **dict.fromkeys(("pod", "pods", "pod_name", "podName"), "pod"),
    **dict.fromkeys(("node", "nodes", "node_name", "nodeName"), "node"),
    **dict.fromkeys(("service", "services", "storefront_service", "serviceName"), "service"),
    **dict.fromkeys(("policy", "policies", "culprits", "restored", "prober"), "policy"),
    **dict.fromkeys(("workload", "workloads"), "workload"),
    **dict.fromkeys(("deployment", "deployments", "container", "serviceAccount"), "workload"),
    **dict.fromkeys(("owner", "user", "who", "username", "by", "manager"), "user"),
    **dict.fromkeys(("host", "hostname", "matchName", "matchPattern", "names"), "host"),
    **dict.fromkeys(("context", "cluster", "clusterName"), "context"),
    **dict.fromkeys(("uid", "cluster_uid"), "uid"),
}
# Objects whose keys and values are the user's own.
_LABELS = frozenset({"labels", "matchLabels", "nodeSelector", "annotations"})
_FREE = _LABELS | {"fieldsV1", "configuration", "secrets", "order"}
_WORKLOADS = frozenset({"app", "k8s-app", "app.kubernetes.io/name", "io.kompose.service", "name"})
# Where an experiment says what it is about; and where a reading does, beside names of ours.
_GIVEN = frozenset({"configuration", "arguments"})
_ENDS = frozenset({"source", "destination", "subject"})
# Values under these keys are of this tool's, the host's or Kubernetes' vocabulary.
_VOCABULARY = _words(
    "action apiVersion algorithm asked_by change clock connection direction drop_reason "
    "expect expected fieldsType func gitops kind lab_outcome module operation operator protocol "
    "reading reason resolution resource result role schema status strategy tier type verb "
    "verdict version waited_for what failed_at env_var_type cilium_version kubernetes_version lib "
    "chaoslib-version"
)
_PUBLIC = _words(
    "acns acns-chaos acns_chaos admin all api app application aks any cilium cilium-agent "
    "cilium-operator cilium-operator-generic cilium-envoy cluster client container controller "
    "coredns default deny allow detector dns egress envoy events explanation experiment false "
    "fault from get grafana health host http https hubble hubble-relay hubble-ui ingress init "
    "io k8s kube-apiserver kube-controller-manager kube-dns kube-node-lease kube-public "
    "kube-system kubectl kubectl-client-side-apply kubernetes lab lab-world latest local "
    "localhost metadata method metrics namespace no node nodes none null on pod pods policies "
    "policy port post prometheus put relay remote-node reserved restored rollback run runner "
    "service services spec status svc tcp to true udp unmanaged unknown watchdog guard janitor "
    "others person with witness world yes"
)
# Domains of API groups and of labels that everybody uses, and what only looks like a domain.
_GROUPS = (".cilium.io", ".k8s.io", ".kubernetes.io", ".argoproj.io", ".fluxcd.io", ".helm.sh")
_INSIDE = ("kubernetes.default.svc", "svc.cluster.local", "cluster.local")
_CODE = frozenset({"spec", "specs", "status", "metadata", "chaoslib", "chaostoolkit", "acns_chaos"})
_FILES = _words("py json yaml yml md log txt pem crt key html xml csv")

_LIKE_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_VERSION = re.compile(r"v?\d+(?:[.]\d+)*(?:(?:alpha|beta)\d+)?")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)?")
_PART = re.compile(r"[\w-]+")

_HOSTED = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
# Form, kind, and a character without which there is none.
_FORMS = (
    (re.compile(r"(?<=://)[^/\s@]+(?=@)"), "user", "@"),
    (re.compile(r"(?<=://)[A-Za-z0-9][\w.-]*"), "host", "://"),
    (re.compile(r"(?<![\w./:-])[a-z][a-z0-9-]*(?=:\d{2,5}(?![\w.:]))"), "host", ":"),
    (re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:[.][\w-]+)+"), "mail", "@"),
    (re.compile(r"(?<![\w.+-])[\w.+-]+(?=@(?!specs?\b)[\w-])"), "user", "@"),
    (re.compile(r"(?<=[\w]@)[\w-]+(?:[.][\w-]+)*"), "host", "@"),
    (re.compile(r"(?<![\w-])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"), "uid", "-"),
    (re.compile(r"(?<![\w-])[0-9a-f]{32,}(?![\w-])"), "digest", ""),
    (re.compile(r"(?<![\w.-])\d{1,3}(?:[.]\d{1,3}){3}(?![\w.-]*\d)"), "address", "."),
    (re.compile(r"(?<![\w:.])[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}(?![\w:])"), "address", ":"),
    (re.compile(r"(?<![\w/.:~-])(?:[A-Za-z]:\\|~?/)[^\s\"',;:()<>\[\]{}]*"), "path", ""),
    (re.compile(rf"(?<![\w.])(?:{_HOSTED}[.])+[A-Za-z]{{2,}}(?![\w-])"), "dns", "."),
)
_FLOW = re.compile(r"([a-z0-9][a-z0-9-]*)/([a-z0-9][a-z0-9.-]*)(?=:\d+/(?:TCP|UDP|SCTP|ANY)| ->)")
_TARGET = re.compile(r"(?<=-> )([a-z0-9][a-z0-9-]*)/([a-z0-9][a-z0-9.-]*[a-z0-9])")
_ROOTS = tuple(
    _words(
        "/home/ /root /Users/ /tmp/ /var/ /work /opt/ /usr/ /etc/ /srv/ /mnt/ /data/ /builds/ "
        "/github/ /__w/ /private/ /app/ /run/ ~/"
    )
)
_POD = re.compile(r".*-(?:[a-z0-9]{5}|\d+)")


def strings_in(value: object) -> Iterator[str]:
    """Yield every text of a plain value, its keys included, each time it stands there."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from strings_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings_in(inner)


def names_in(journal: Mapping[str, Any]) -> dict[str, str]:
    """Find the names and addresses of a journal.

    Args:
        journal: plain, without what only the seal needs.

    Returns:
        Name to kind (one of KINDS), in the order in which they are found.
    """
    search = _Search()
    search.structure(journal, "")
    run = mapping(journal.get(SECTION)).get("run")
    search.words.add(run if isinstance(run, str) else "")
    if isinstance(node := journal.get("node"), str):
        search.add("host", node)
        search.add("host", node.partition(".")[0])
    search.placed(journal, "")
    search.secret(mapping(journal.get("experiment")).get("secrets"), "")
    distinct = dict.fromkeys(strings_in(journal))
    for text in distinct:
        search.formed(text)
    search.qualified(distinct)
    search.compound(distinct)
    for text in distinct:
        for token in TOKEN.findall(text):
            search.names.setdefault(token, "word")
    return search.names


class _Search:
    """What has been found so far."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.words: set[str] = set(_PUBLIC)

    def structure(self, value: object, key: str) -> None:
        """Learn the words of the journal's own structure."""
        if isinstance(value, dict):
            for name, inner in value.items():
                if key not in _FREE and not name.startswith("f:"):
                    self.words.add(name)
                if key not in _LABELS:
                    self.structure(inner, name)
        elif isinstance(value, list):
            for inner in value:
                self.structure(inner, key)
        elif isinstance(value, str) and key in _VOCABULARY and len(value) < 80:
            self.words.add(value)
            if key != "what" or " " not in value:
                self.words.update(_PART.findall(value))

    def add(self, kind: str, name: str) -> None:
        """Take a name, unless it is a word of the structure, a number, a version or a time."""
        name = name.strip()
        if len(name) < 2 or name in self.words or name in self.names or name.isdigit():
            return
        if name.lower() in _PUBLIC or name.startswith("acns-chaos") or "${" in name:
            return
        if _VERSION.fullmatch(name) and kind != "address":
            return
        self.names[name] = kind

    def parts(self, kind: str, value: str) -> None:
        """Take a value that is a name, "namespace/name", or a list of these in a text."""
        bare = value.removeprefix("k8s:").removeprefix("reserved:").removeprefix("*.")
        first, slash, second = bare.partition("/")
        if slash and _LIKE_NAME.fullmatch(first) and _LIKE_NAME.fullmatch(second):
            self.add("namespace", first)
            self.add(kind, second)
        elif _LIKE_NAME.fullmatch(bare):
            self.add(kind, bare)

    def placed(self, value: object, key: str, parent: str = "") -> None:
        """Take the names that stand where names are known to stand."""
        if isinstance(value, dict):
            if isinstance(value.get("name"), str) and (key == "metadata" or "uid" in value):
                self.parts("policy" if key == "metadata" else "name", value["name"])
            if key == "policy" and isinstance(value.get("name"), str):
                self.add("policy", value["name"])
            for name, inner in value.items():
                self.placed(inner, name, key)
        elif isinstance(value, list):
            for inner in value:
                self.placed(inner, key, parent)
        elif isinstance(value, str):
            self._value(value, key, parent)

    def _value(self, value: str, key: str, parent: str) -> None:
        if parent in ("labels", "matchLabels", "nodeSelector"):
            bare = key.removeprefix("k8s:").removeprefix("any:")
            where = "namespace" if bare.endswith("pod.namespace") else "label"
            self.parts("workload" if bare in _WORKLOADS else _NAMED.get(bare, where), value)
        elif parent == "annotations" and len(value) < 254 and not key.startswith("acns-chaos/"):
            self.add("label", value)
        elif key == "values" and parent == "matchExpressions":
            self.parts("label", value)
        elif key in _NAMED and not (key == "by" and parent == "restored"):
            self.parts(_NAMED[key], value)
        elif (parent in _GIVEN or (key in _ENDS and "/" in value)) and key not in _VOCABULARY:
            self.parts("name", value)

    def secret(self, value: object, key: str) -> None:
        """Take what an experiment holds as secrets; it should hold none itself."""
        if isinstance(value, dict):
            for name, inner in value.items():
                self.secret(inner, name)
        elif isinstance(value, list):
            for inner in value:
                self.secret(inner, key)
        elif isinstance(value, str) and key not in ("type", "key"):
            self.add("secret", value)

    def formed(self, text: str) -> None:
        """Take what has the form of an address or of a name."""
        if _MOMENT.fullmatch(text):
            return
        for form, kind, needs in _FORMS:
            if needs not in text:
                continue
            for found in form.findall(text):
                self._formed(kind, found)
        for form in (_FLOW, _TARGET) if "/" in text else ():
            for namespace, name in form.findall(text):
                self.add("namespace", namespace)
                self.add("workload", name.rstrip("."))

    def _formed(self, kind: str, found: str) -> None:
        name = found.rstrip(".")
        if kind in ("address", "host") and (address := _address(name)):
            if not address.is_unspecified:
                self.add("address", name)
        elif kind == "path":
            if name.startswith(_ROOTS) or name[1:3] == ":\\" or "." in name.rpartition("/")[2]:
                self.add("path", name)
        elif kind in ("dns", "host"):
            if self._is_domain(name) or (kind == "host" and "." not in name):
                self.add("dns" if "." in name else "host", name)
        elif kind != "address" and (kind != "mail" or self._is_domain(name.partition("@")[2])):
            self.add(kind, name)

    def _is_domain(self, name: str) -> bool:
        first, last = name.partition(".")[0], name.rpartition(".")[2]
        if "." not in name or first in _CODE or name in self.words:
            return False
        if name.startswith(("io.kubernetes.", "io.cilium.")) or last in _FILES:
            return False
        return not f".{name}".endswith(_GROUPS) and name not in _INSIDE

    def qualified(self, texts: Mapping[str, Any]) -> None:
        """Take X of every "namespace/X" whose namespace is known."""
        spaces = [re.escape(name) for name, kind in self.names.items() if kind == "namespace"]
        spaces += ["default", "kube-system"]
        form = re.compile(rf"(?<![\w./-])(?:{'|'.join(spaces)})/([a-z0-9][a-z0-9.-]*[a-z0-9])")
        for text in texts:
            if "/" in text:
                for name in form.findall(text):
                    self.add("workload", name)

    def compound(self, texts: Mapping[str, Any]) -> None:
        """Take words that are made of a known name: "front" makes "front-5f9c-x2k9q" one."""
        known = {name for name in self.names if _PART.fullmatch(name)}
        words = {
            word for text in texts for word in _PART.findall(text) if "-" in word or "_" in word
        }
        for word in sorted(words - known - self.words):
            pieces = re.split("([-_])", word)
            runs = (
                "".join(pieces[start:end])
                for start in range(0, len(pieces), 2)
                for end in range(start + 1, len(pieces) + 1, 2)
            )
            if any(run in known for run in runs):
                self.add("pod" if _POD.fullmatch(word) else "name", word)


def _address(text: str) -> Any:
    """Read an IPv4 or IPv6 address; None for anything else, such as a time of day."""
    try:
        return ip_address(text)
    except ValueError:
        return None
