"""The Kubernetes API of the lab: storage, validation and the HTTP surface.

Here: what an API server answers, worded as a real one words it. Not here: what the traffic of
the pods does (``lab.net``), which objects there are at the start (``lab.world``), and what a
policy means (``acns_chaos.policy``).

One table (``resources``) says which kinds exist and what may be done with them; everything else
reads it. What is not modelled is refused by name.
"""
