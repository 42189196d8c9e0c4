"""Game days of many clusters, as manifests of a cluster that runs them.

Belongs here: the clusters, what each pod does of them (`fleet`) and whether it reaches the right
one (`reaching`), the manifests (`pods`, `jobs`, `argo`), how large it gets (`sizes`), and what it
costs (`cost`). Does not belong here: applying anything.

A pod is a *shard*: one cluster and some of its namespaces. It is told its cluster by a ConfigMap,
let in by a Secret that only the pods of that cluster mount, and finds its namespaces by its index.
It then becomes `acns-chaos gameday run` with a plan of its own.
"""
