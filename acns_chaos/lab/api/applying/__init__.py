"""Who owns which field of an object, and server-side apply, which lives on that.

``managed`` keeps metadata.managedFields through every write; ``apply`` merges a configuration.
"""
