"""The lab's network: what connects, what is silent, what is counted. Start at `network`.

Decisions come from `acns_chaos.policy`, objects from the store. The Kubernetes API is not here.

- `network`: the parts, put together
- `directory`, `objects`: who is where
- `agents`: what each node enforces, and since when
- `connections`, `names`: TCP and DNS as pods see them
- `events`: what happens on the wire, told once; `metrics` counts it, `lab.hubble` logs it
- `prometheus`, `promql`: who scrapes the metrics, and how it answers
- `shop`: the storefront and what is behind it; `tools`: what runs inside containers
- `traffic`, `visits`, `logs`: what goes on, and what programs say, while nobody asks
- `truth`: what really happened, for those who measure
- `listener`, `clock`: sockets that can fall silent, and time
"""
