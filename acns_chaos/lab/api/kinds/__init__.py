"""Which kinds there are, and what holds for an object of each: paths, schemas, names, sizes.

``resources`` is the one table that everything else reads. What a policy means is in
``acns_chaos.policy``.
"""
