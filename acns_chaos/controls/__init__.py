"""Around a run: `guard` (target, safety net, outcome), `lab` (stand-in cluster) and `timeline`.

The host looks hooks up by name, calls them with the arguments they declare, swallows what they
raise (all but InterruptExecution), and may call one twice: each is idempotent.
"""
