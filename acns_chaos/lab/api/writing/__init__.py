"""create, update, patch and delete: from the bytes of a body to a stored object.

``writes`` keeps the order of the checks. ``bodies`` and ``decode`` read what was sent, ``patches``
merges it, ``admission`` lets it in. Who owns which field, and server-side apply, are in
``api.applying``.
"""
