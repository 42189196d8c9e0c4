"""Mutation operators, one module a family: the mistakes people make in policies.

Belongs here: raw policy in, edits of it out, at every place a mistake can be made. Does not belong
here: what a mutant opens or closes (`mutants`), and writing it anywhere. The list of all operators
is `acns_chaos.policy.operators`.
"""
