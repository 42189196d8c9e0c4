"""Who sends a request, and whether it may: bearer tokens, RBAC and reviews.

The roles themselves are objects like any other: their schemas are in ``kinds.rbac_kinds``.
"""
