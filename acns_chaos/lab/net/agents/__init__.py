"""The agents, one on each node: what each enforces, and since when.

Whether a policy allows a connection is decided by ``acns_chaos.policy``.
"""
