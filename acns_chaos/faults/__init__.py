"""Inject and restore: limit, record, write, realise, confirm; and the undo.

What belongs here: everything that decides about a change and everything that takes it back. What
must not: the network itself (that is `cluster/`), and any judgement of a whole run (`evidence/`).
A fault is a debt: it stands in the ledger before it is taken.
"""
