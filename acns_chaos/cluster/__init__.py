"""Everything that talks to the network: the Kubernetes API, pods, the storefront, Prometheus.

What belongs here: clients, their time-outs, and the translation of what they answer into plain
values. What must not: any judgement of those values, and any change that was not asked for by
`faults/`. Third-party clients are imported inside functions where they are heavy, so that
importing an activity costs almost nothing.
"""
