"""The Kubernetes API of the lab: storage, validation and the HTTP surface.

Here: what an API server answers, worded as a real one words it. Not here: what the traffic of
the pods does (``lab.net``), which objects there are at the start (``lab.world``), and what a
policy means (``acns_chaos.policy``).

- ``app``: the HTTP surface; ``requests`` and ``options``: what a request means, before any object
- ``access``: who sends it, and whether they may
- ``reading``, ``writing``, ``applying``: get, list, watch and tables; create, update, patch and
  delete; who owns which field
- ``describing``: discovery and OpenAPI
- ``pods``, ``streams``: exec, port-forward and logs; the protocols they go over
- ``kinds``: which kinds there are and what holds for their objects
- ``controllers``: the few that act
- ``store``: the lab's etcd; ``failures``: every refusal

One table (``kinds.resources``) says which kinds exist and what may be done with them; everything
else reads it. What is not modelled is refused by name.
"""
