"""What the server says of itself: health, version, discovery, OpenAPI.

Everything here is made from the table of ``kinds.resources``; nothing here reads an object.
"""
