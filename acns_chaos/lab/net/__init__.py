"""The lab's network: what connects, what is silent, what is counted. Start at `network`.

Decisions come from `acns_chaos.policy`, objects from the store. The Kubernetes API is not here.
"""
