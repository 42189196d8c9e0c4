"""The few controllers that act in the lab: each keeps some objects in step with others.

Whoever is not here does not act; ``acns_chaos.lab`` lists who is missed.
"""
