"""The lab: a stand-in cluster on loopback that speaks the wire of a real one.

It is a process of its own (``python -m acns_chaos.lab serve``) and hands over a kubeconfig and
environment variables, nothing else. It may import ``acns_chaos.policy``, ``acns_chaos.wire`` and
``acns_chaos.errors`` only. ``server`` puts it together: ``world`` is what there is at the start,
``api`` the Kubernetes API, ``net`` the traffic, ``hubble`` its flows and their relay, ``misbehave``
what goes wrong on request. Around the process are ``registration`` (one lab for each home),
``detached``, ``leftovers`` and ``tls``.

The lists below are what a reader must know before believing a run in the lab. What the product
relies on is tried on real clusters, in tests/real.

What is not modelled is refused by name (501, or the refusal of a real server), never half done:

- controllers: no pod is ever created, rescheduled or deleted by a change of a workload, and no
  garbage collector follows owner references. Pods, nodes, services, endpoints, workloads,
  CiliumEndpoints and definitions come from the world: they can be read, and most of them
  relabelled. Their spec and their existence cannot be changed, nor can a namespace with pods in
  it be deleted. Two exceptions. A client may create a bare pod, of one container, and delete it
  (``api.pods.bare`` says what it may hold; volumes, probes, init containers, host network and the
  like are 501 by name, as is server-side apply). It is scheduled by its nodeSelector alone and runs
  at once: no image is pulled, its command is not run, and it ends with its deletion or its
  activeDeadlineSeconds only. And a client may delete pods of a ReplicaSet or StatefulSet, which
  then makes them anew from its template (``api.controllers.replicas``, ``.kubelet``); those of
  other controllers, those of kube-system, and those with an init container that does anything but
  wait for a port are 501 by name. Who does act is in ``api.controllers``: a namespace gets its
  account `default`, a Secret for an account its token, a ClusterRole the rules it is made of, a
  service its Endpoints and EndpointSlice, a new pod its node and address, a pod its CiliumEndpoint
  (with an empty ``status.policy``, as is the default), a workload whose pods change the numbers in
  its status.
- Jobs and CronJobs run nowhere: they are stored and described, a CronJob makes no Job and a Job no
  pod, and a status is what a client writes there. PersistentVolumeClaims are Pending for ever.
- client certificates, basic authentication, and tokens that are bound to a node. A request without
  a token is let in to health and version only, and is 401 elsewhere; impersonation headers without
  a user are 400, where a real server answers 500.
- CBOR bodies, answers in YAML or protobuf, protobuf bodies of kinds that are not in
  ``api.writing.protobuf_messages``; bodies nested deeper than 200 levels, and YAML of more than
  50,000 values; server-side apply of events.k8s.io's view of events (of the core events it works).
- pods/attach, pods/proxy, services/proxy, eviction, scale and finalize. Exec speaks remotecommand
  4 over SPDY/3.1, 4 and 5 over WebSocket; port-forward SPDY/3.1, bare or in a WebSocket, and
  channels; older protocols are refused. A terminal has no size and echoes nothing.
- port-forward to what the lab does not run (RabbitMQ, coredns, the agent): the error stream
  says so.
- Hubble: CEL filters; agent and debug events; server reflection, and health but for Check; the
  agents' own servers (4244), the relay's health port (4222) and Hubble's UI.
- deletion that waits for dependents; every query parameter that is not listed in
  ``api.options``; every kind that is not listed in ``api.kinds.resources``. Quotas, claims and
  the like are listed there to be read: there are none unless the world has some.
- PromQL beyond docs/promql.md: 422 with its name. Templates of rules beyond labels and
  the value: refused in labels, named in the text of annotations.

What is missing without an error, because nothing asks for it:

- kubelet: no probe runs. Readiness is what the world says, whatever a policy does to the host; a
  bare pod is ready unless it has a readiness gate. A pod that is made anew has its address after
  0.4 s and, where its containers would be probed, is Ready 0.8 s after they started; one that is
  deleted ends after 0.5 s, or with its grace while its init container waits. On a cluster the
  shop's own probes take 5 to 15 s. Of programs only the storefront's nginx needs something to
  start: the names of its upstreams.
- datapath: IPv6, Envoy (an HTTP rule lets every request through), encryption, node ports, a cluster
  mesh. The load balancer never takes a silent backend out of its rotation; real HTTP to the shop
  arrives at the first node and its first pod. Whom a second node sees after source NAT follows
  Cilium's documentation: one node was recorded. A pod that is relabelled has its new identity at
  once, and regeneration never fails for one endpoint alone.
- names: no reverse, SRV or TXT records, no names of pods, no DNS over TCP, one name server; no
  limit on the addresses of a learned name. ``net`` says what its tools do not know;
  they say so themselves and exit with 2. No service account token is mounted in a pod.
- logs hold the last 2,000 lines of a container, without the kubelet's probes, and only what the
  shop, the agents and Hubble relay say; every other container is silent.
- metrics: the agents' caches, timers and BPF maps, Envoy's and the operator's
  (``net.metrics.families``).
- flows of HTTP, of translations at sockets, and of monitor aggregation beyond one short
  connection; a follower's flows come from the relay only, with its delay. A SYN that a browser or
  curl repeats seems to come from another port each time.
- admission webhooks and quotas; rights by field or label selector; constrained impersonation.
- validation of a NetworkPolicy beyond its structure; of a status that a client writes; of the
  template of a Job's pods beyond its structure, names, images, ports, mounts and quantities: what
  the sources of rare volumes hold, limits below requests, probes, affinity and tolerations are
  stored as they come. Time zones of CronJobs are not looked up.
- managedFields know no versions of a kind but the served one, and many updaters are not merged
  into one entry; a strategic merge tells lists with keys by their names alone.
- descriptions in OpenAPI of kinds that only the world writes (`kubectl explain pod.spec` ends
  there), and of strategic merges; metrics.k8s.io, so `kubectl top` is refused as without a
  metrics server; node leases; Endpoints of services without a selector.
- the API server's own pages (/metrics, /logs, /debug, OpenID keys) are 404, and so are kinds that
  a definition of AKS or Cilium would add; a request line or header over 8 KB is 400.
- time: no event, lease or managedFields entry ever expires, and a watch lives until it is closed.
- misbehaviour comes on request only (``misbehave``); a request is chosen by what it says of
  itself, not by its user.
"""
