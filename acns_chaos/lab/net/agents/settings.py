"""The agents' settings: ConfigMap kube-system/cilium-config as an agent reads it when it starts.

A change of the ConfigMap counts from the agent's next start. Only what changes verdicts or lookups.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from acns_chaos.errors import PolicyError
from acns_chaos.lab.net.objects import Objects
from acns_chaos.policy import Settings

REFUSED, NO_SUCH_NAME = 5, 3
# Not enable-l7-proxy: with ACNS the DNS proxy is a program of its own, and filters names though the
# agents' own proxy is off.
_SWITCHES = {
    "enable-host-firewall": "host_firewall",
    "policy-default-local-cluster": "default_local_cluster",
    "enable-node-selector-labels": "node_selector_labels",
    "enable-non-default-deny-policies": "non_default_deny",
    "enable-icmp-rules": "icmp_rules",
    "enable-extended-ip-protocols": "extended_protocols",
}
_TEXTS = {"enable-policy": "enforcement", "allow-localhost": "allow_localhost"}


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What an agent was told.

    Attributes:
        policy: what changes verdicts.
        refusal: rcode with which the DNS proxy refuses: 5 (REFUSED) or 3 (no such name).
        own_proxy: the DNS proxy is part of the agent and stops with it.
    """

    policy: Settings = field(default_factory=Settings)
    refusal: int = REFUSED
    own_proxy: bool = False


def read_settings(store: Objects) -> AgentSettings:
    """The settings that an agent reads if it starts now; Cilium's defaults without a ConfigMap."""
    for config in store.list("ConfigMap", "kube-system"):
        if config["metadata"]["name"] == "cilium-config":
            return _parse(config.get("data") or {})
    return AgentSettings()


def _parse(data: Mapping[str, str]) -> AgentSettings:
    found: dict[str, str | bool] = {
        name: data[option].lower() == "true" for option, name in _SWITCHES.items() if option in data
    }
    found |= {name: data[option] for option, name in _TEXTS.items() if data.get(option)}
    try:
        policy = Settings(**found)  # type: ignore[arg-type]
    except PolicyError:
        # An agent with a bad mode does not start; the lab goes on with the default.
        policy = Settings()
    code = data.get("tofqdns-dns-reject-response-code", "refused")
    return AgentSettings(
        policy=policy,
        refusal=NO_SUCH_NAME if code == "nameError" else REFUSED,
        own_proxy=data.get("enable-l7-proxy", "true").lower() == "true",
    )
