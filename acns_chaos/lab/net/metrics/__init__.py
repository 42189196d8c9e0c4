"""The metrics of the agents: which there are, what counts in them, and where they are scraped.

Asking for them in PromQL is ``net.promql.evaluation``.
"""
