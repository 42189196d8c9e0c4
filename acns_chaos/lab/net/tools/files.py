"""What a container shows of itself: the files that a kubelet writes, its variables, its name.

Of a file of the image the lab knows nothing, so it is refused by name; the same goes for the
secrets that a real pod would find, as no token is mounted. What cannot be there is "No such file".
"""

from collections.abc import Callable, Mapping
from typing import Any

from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.names.dns import NDOTS
from acns_chaos.lab.net.names.zone import Zone
from acns_chaos.lab.net.tools.commands import NotModelled, parse_options
from acns_chaos.lab.net.tools.process import Process

_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/"
# Folders with contents of the image or the kernel, which the lab does not have.
_UNKNOWN = (
    "/app/", "/bin/", "/dev/", "/etc/", "/home/", "/lib/", "/opt/", "/proc/", "/root/", "/sbin/",
    "/sys/", "/usr/", "/var/",
)  # fmt: skip
_HOSTS = """\
# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
{ip}\t{name}
"""
_STDIN = "-"


class Files:
    """Runs `cat`, `env`, `printenv`, `hostname` and `id`.

    Args:
        directory: for the services that pods are told of.
        zone: for the resolver's configuration.
    """

    def __init__(self, directory: Directory, zone: Zone) -> None:
        self._directory = directory
        self._zone = zone

    async def cat(self, process: Process, argv: list[str]) -> int:
        """Print files, or the input without any."""
        code = 0
        for path in parse_options(argv, plain="", valued="").operands or [_STDIN]:
            if path == _STDIN:
                while process.stdin is not None and (data := await process.stdin.read(65536)):
                    await process.out_bytes(data)
                continue
            text = self._file(process, path)
            if text is None:
                problem = f"can't open '{path}'" if process.libc == "musl" else path
                await process.err(f"cat: {problem}: No such file or directory")
                code = 1
            else:
                await process.out(text)
        return code

    async def env(self, process: Process, argv: list[str]) -> int:
        """Print every variable."""
        if len(argv) > 1:
            raise NotModelled("`env` with arguments")
        variables = self._variables(process)
        await process.out("".join(f"{key}={value}\n" for key, value in variables.items()))
        return 0

    async def printenv(self, process: Process, argv: list[str]) -> int:
        """Print the named variables, or all; 1 when one is missing."""
        names = parse_options(argv, plain="", valued="").operands
        if not names:
            return await self.env(process, argv)
        variables = self._variables(process)
        await process.out("".join(f"{variables[n]}\n" for n in names if n in variables))
        return 0 if all(name in variables for name in names) else 1

    async def hostname(self, process: Process, argv: list[str]) -> int:
        """Print the pod's name, or with -i its address."""
        options = parse_options(argv, plain="i", valued="")
        if options.operands:
            raise NotModelled("`hostname` with a new name")
        await process.out(f"{process.pod.ip if 'i' in options else process.pod.name}\n")
        return 0

    async def id(self, process: Process, argv: list[str]) -> int:
        """Print who the process is, where the pod's spec says so; the image is not known."""
        spec = process.pod.raw["spec"]
        contexts = [spec.get("securityContext") or {}]
        contexts += [
            container.get("securityContext") or {}
            for container in spec["containers"]
            if container["name"] == process.container
        ]
        merged = {key: value for context in contexts for key, value in context.items()}
        if len(argv) > 1 or "runAsUser" not in merged or "runAsGroup" not in merged:
            raise NotModelled("`id` of a container whose image decides its user")
        user, group = merged["runAsUser"], merged["runAsGroup"]
        await process.out(f"uid={user} gid={group} groups={group}\n")
        return 0

    def _file(self, process: Process, path: str) -> str | None:
        """The text of a file, None when there is none.

        Raises:
            NotModelled: a real container may have it.
        """
        pod = process.pod
        known: dict[str, Callable[[], str]] = {
            "/etc/resolv.conf": lambda: self._resolv_conf(pod.namespace),
            "/etc/hosts": lambda: _HOSTS.format(ip=pod.ip, name=pod.name),
            "/etc/hostname": lambda: f"{pod.name}\n",
            f"{_ACCOUNT}namespace": lambda: pod.namespace,
        }
        if path in known:
            return known[path]()
        if path in (f"{_ACCOUNT}token", f"{_ACCOUNT}ca.crt"):
            raise NotModelled(f"`cat {path}`: no service account token is mounted in its pods")
        if not path.startswith("/") or path.startswith(_UNKNOWN):
            raise NotModelled(f"`cat {path}`: it does not have the image's files")
        return None

    def _resolv_conf(self, namespace: str) -> str:
        search = " ".join(self._zone.search_list(namespace))
        return f"search {search}\nnameserver {self._zone.nameserver()}\noptions ndots:{NDOTS}\n"

    def _variables(self, process: Process) -> Mapping[str, str]:
        pod = process.pod
        variables = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOSTNAME": pod.name,
        }
        for container in pod.raw["spec"]["containers"]:
            if container["name"] == process.container:
                variables |= {
                    e["name"]: e["value"] for e in container.get("env", ()) if "value" in e
                }
        linked = pod.raw["spec"].get("enableServiceLinks", True)
        for service in self._directory.services():
            metadata = service["metadata"]
            own = linked and metadata["namespace"] == pod.namespace
            if own or (metadata["namespace"], metadata["name"]) == ("default", "kubernetes"):
                variables |= _links(service)
        variables["HOME"] = "/root"
        return variables


def _links(service: Mapping[str, Any]) -> dict[str, str]:
    """The variables that tell of a service."""
    spec, metadata = service["spec"], service["metadata"]
    ip, ports = spec.get("clusterIP"), spec.get("ports") or ()
    if ip in (None, "", "None") or not ports:
        return {}
    name = str(metadata["name"]).upper().replace("-", "_")
    found = {f"{name}_SERVICE_HOST": str(ip), f"{name}_SERVICE_PORT": str(ports[0]["port"])}
    for port in ports:
        if port.get("name"):
            label = str(port["name"]).upper().replace("-", "_")
            found[f"{name}_SERVICE_PORT_{label}"] = str(port["port"])
    for index, port in enumerate(ports):
        protocol, number = str(port.get("protocol", "TCP")), str(port["port"])
        url = f"{protocol.lower()}://{ip}:{number}"
        if index == 0:
            found[f"{name}_PORT"] = url
        prefix = f"{name}_PORT_{number}_{protocol}"
        found |= {
            prefix: url,
            f"{prefix}_PROTO": protocol.lower(),
            f"{prefix}_PORT": number,
            f"{prefix}_ADDR": str(ip),
        }
    return found
