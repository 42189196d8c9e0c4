"""Hubble in the lab: what happens on the simulated wire as flows, and a relay that serves them.

- `identities`, `nodes`: numbers and labels of senders and receivers; the nodes and what is on them
- `packets`, `lookups`, `correlation`, `sockets`: the flows that one event of the wire becomes
- `recorder`: events in, flows into the log of the node that saw them
- `ring`, `agent`: one node's bounded memory of flows, its counters, its failures on request
- `filters`, `fields`, `names`, `labels`: what a client asks for
- `selection`: where reading a ring begins and ends
- `relay`: all nodes together, with a relay's habits
- `service`, `front`, `certificates`: gRPC behind mutual TLS, and the relay's failures on request

What flows look like and how the relay behaves follows recordings from Cilium 1.19.4. Not modelled:
agent and debug events, server reflection, health watches, CEL filters, HTTP flows, IPv6 but for
one kind of noise; monitor aggregation beyond one short connection at a time.
"""
