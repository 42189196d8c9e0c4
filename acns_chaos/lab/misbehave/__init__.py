"""Misbehaviour on request: what a cluster does to a client on a bad day, ordered by name.

``catalogue`` says which kinds there are, ``orders`` reads what somebody asks for, ``table`` keeps
what is going on. ``front`` stands before the API, Prometheus and the shop and spoils answers,
``watches`` spoils streams, ``parts`` slows or stops parts of the network, ``actors`` are others
who write policies. ``control`` is the way in. Without an order nothing here does anything.
"""
