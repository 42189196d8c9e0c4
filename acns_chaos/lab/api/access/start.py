"""What an API server sets up for itself before it answers: default roles, accounts, tokens.

It is called once per store. A real server does the same in its post-start hooks, its controller
manager in two controllers.
"""

from acns_chaos.lab.api.access.authentication import Auth
from acns_chaos.lab.api.access.rbac_defaults import Aggregation, default_objects
from acns_chaos.lab.api.controllers.accounts import Accounts
from acns_chaos.lab.api.store import Store


def started(store: Store, token: str, authority: bytes) -> Auth:
    """Authentication and authorisation over a store that has what they need.

    Args:
        store: objects that a world brings are kept as they are.
        token: of the administrator.
        authority: the certificate of the API server's authority, PEM.
    """
    for obj in default_objects():
        if store.find(obj["kind"], None, obj["metadata"]["name"]) is None:
            store.put(obj)
    auth = Auth(store, token)
    Aggregation(store).settle()
    Accounts(store, auth.tokens, authority)
    return auth
