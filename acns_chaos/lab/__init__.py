"""The lab: a stand-in cluster on loopback that speaks the wire of a real one.

It is a process of its own (``python -m acns_chaos.lab serve``) and hands over a kubeconfig and
environment variables, nothing else. ``api`` is the Kubernetes API, ``net`` the traffic, ``world``
what there is at the start. It may import ``acns_chaos.policy`` and ``acns_chaos.errors`` only.

What is not modelled is refused by name (501, or the refusal of a real server), never half done:

- controllers: no pod is ever created, rescheduled or deleted by a change of a workload, and no
  garbage collector follows owner references. Pods, nodes, services, endpoints, workloads,
  CiliumEndpoints and definitions come from the world: they can be read, and most of them
  relabelled. Their spec and their existence cannot be changed.
- server-side apply; YAML, CBOR and protobuf bodies (`kubectl create configmap` sends protobuf,
  `kubectl create -f` does not); strategic merge of keyed lists; duplicate members of a body.
- pods/log, pods/portforward, pods/attach, eviction, scale, token and finalize; exec over SPDY,
  and any input given to a command.
- lists at an exact old resourceVersion, streaming lists, deletion that waits for dependents.
- OpenAPI version 2; every query parameter that is not listed in ``api.options``; every kind that
  is not listed in ``api.resources``.

What is missing without an error, because nothing asks for it:

- authorisation: the one token may do everything. Admission webhooks and quotas.
- validation of a NetworkPolicy beyond its structure; of a status that a client writes.
- printer columns other than Name, Age and Valid; type descriptions in OpenAPI version 3.
- time: no event, lease or managedFields entry ever expires, and a watch lives until it is closed.
- misbehaviour on request (429, 5xx, resets, slow watches): the server is always well.
- one node, IPv4; no Hubble, no Envoy. ``net`` says what its tools do not know.
"""
