"""What the layer-7 proxy does with a request that layers 3 and 4 sent to it.

Belongs here: which of the matching rules take part, for each kind of request. Does not belong
here: matching a request with one rule (`requests`).
Source of the facts: Cilium 1.19; how HTTP rules unite with plain ones is its translation for
Envoy, and was not run against Envoy.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from acns_chaos.policy.requests import DNS, HTTP
from acns_chaos.policy.views import Match


def query_passes(matches: Iterable[Match], name: str) -> bool:
    """Whether a DNS query passes.

    Only rules of the very port count: one for the peer alone, or for a range, opens no name.

    Args:
        matches: the allow rules that match the query's packet.
        name: the name asked for.
    """
    return any(
        entry.requests is None or (entry.requests.kind == DNS and entry.requests.allows_query(name))
        for _, entries in matches
        for entry in entries
        if entry.single
    )


def http_passes(matches: Iterable[Match], request: Mapping[str, Any]) -> bool:
    """Whether an HTTP request passes: one matching rule without layer 7 admits every request.

    Args:
        matches: the allow rules that match the connection.
        request: {"method", "path", "host", "headers"}.
    """
    for _, entries in matches:
        if not entries:
            return True
        for entry in entries:
            if entry.requests is None or entry.requests.kind != HTTP:
                return True
            if entry.requests.allows_http(request):
                return True
    return False


def frees_local_host(matches: Iterable[Match]) -> bool:
    """Whether the local host's requests pass unseen, where it may always connect.

    They do when a layer-7 rule matches it without naming it: through "all", an absent peer, or a
    selector that it meets without being all that is selected.

    Args:
        matches: the allow rules that match the connection of the local host.
    """
    return any(
        entry.requests is not None and not rule.peers.names_host
        for rule, entries in matches
        for entry in entries
    )
