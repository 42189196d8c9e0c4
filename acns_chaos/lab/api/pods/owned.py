"""Pods of a controller: which ones a client may delete, because something here makes them anew.

Pure; ``controllers.replicas`` makes them anew, and ``controllers.kubelet`` starts them.
"""

import re
from dataclasses import dataclass

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.reading.printing import at, members
from acns_chaos.lab.api.store import Store

KINDS = ("ReplicaSet", "StatefulSet")
# What runs there is no container of the lab: it would go on whatever became of its pod.
_OUR_OWN = "kube-system"
_WAIT = re.compile(
    r"until nc -zv (?P<host>[a-z0-9.-]+) (?P<port>[0-9]{1,5}); "
    r"do echo (?P<text>[A-Za-z0-9 ._-]+); sleep (?P<every>[0-9]{1,4}); done;?"
)


@dataclass(frozen=True, slots=True)
class Wait:
    """An init container that waits for a port, as the shop's `wait-for-rabbitmq` does.

    Attributes:
        host: the name it looks up, each time anew.
        port: where it connects to.
        text: what it says after each attempt that failed.
        every: seconds that it sleeps then.
    """

    host: str
    port: int
    text: str
    every: int


def wait_of(container: Json) -> Wait | None:
    """What a raw init container waits for; None when it does something else."""
    command = [*(container.get("command") or ()), *(container.get("args") or ())]
    if len(command) != 3 or command[:2] != ["sh", "-c"]:
        return None
    found = _WAIT.fullmatch(str(command[2]).strip())
    if found is None:
        return None
    return Wait(found["host"], int(found["port"]), found["text"], int(found["every"]))


def owner_of(pod: Json) -> Json | None:
    """The owner reference of a raw Pod's controller, None when it has none."""
    references = pod["metadata"].get("ownerReferences") or ()
    return next((one for one in references if one.get("controller")), None)


def is_replica(pod: Json) -> bool:
    """Whether a ReplicaSet or a StatefulSet owns a raw Pod."""
    owner = owner_of(pod)
    return owner is not None and owner["kind"] in KINDS


def controller_of(store: Store, pod: Json) -> Json | None:
    """The raw ReplicaSet or StatefulSet of a raw Pod, None when there is none with its UID."""
    owner = owner_of(pod)
    if owner is None or owner["kind"] not in KINDS:
        return None
    found = store.find(owner["kind"], pod["metadata"]["namespace"], owner["name"])
    return found if found is not None and found["metadata"]["uid"] == owner["uid"] else None


def require_replaceable(store: Store, pod: Json) -> None:
    """Refuse the deletion of a pod that nothing here would make anew.

    Raises:
        Failure: 501 with the reason.
    """
    owner = owner_of(pod)
    if owner is None:
        if pod["metadata"].get("ownerReferences"):
            raise failures.not_modelled("delete of pods with an owner that is no controller")
        return
    what = f"delete of pods of a {owner['kind']}"
    if owner["kind"] not in KINDS:
        raise failures.not_modelled(f"{what}, which a controller would make anew")
    if pod["metadata"]["namespace"] == _OUR_OWN:
        raise failures.not_modelled(f"delete of pods of a controller in {_OUR_OWN}")
    found = controller_of(store, pod)
    if found is None or not at(found, "spec", "template", "spec", "containers"):
        raise failures.not_modelled(f"{what} that is not there or has no template")
    for container in members(found, "spec", "template", "spec", "initContainers"):
        if wait_of(container) is None:
            name = container.get("name", "")
            raise failures.not_modelled(f"{what} with the init container {name!r}")
