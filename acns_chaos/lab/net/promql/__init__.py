"""PromQL over samples in memory: the documented subset (docs/promql.md), and nothing by guess.

``evaluation`` is the way in. The HTTP API around it is ``net.prometheus.server``.
"""
