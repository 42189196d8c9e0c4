"""What a run proves: readings, and from a journal to its outcome.

Here belong the words of readings (`readings`), the rules of the outcome (`rules`, `outcome`), the
journal and its signature (`journal`, `signature`), and what probes read. Writing the journal is the
host's, deciding when to sign the guard's, showing it to people `report`'s. Nothing is imported
here: an activity pays only for what it uses.
"""
