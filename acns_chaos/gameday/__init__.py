"""Game days: which policy mistakes would nobody notice?

Mutation testing for network policy, against the detectors that are really there. Belongs here: from
a plan to a score. Does not belong here: injecting and restoring (`faults`), judging one run
(`evidence`), and what the report of one run looks like (`report`).

- `plan`, `plan_checks`, `plan_schema.json`: the plan, a YAML file
- `alert_rules`: the rule file of a lab's Prometheus, as far as a plan rests on it
- `sight`: what a cluster holds, and which mistakes can be witnessed there
- `subsumption`, `selection`: which mutants, and in which order
- `estimate`: how long they take
- `report`: a day that is over, for people and programs
"""
