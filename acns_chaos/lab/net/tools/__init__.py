"""What runs inside containers: a shell and the tools that an image carries, in their own words.

``toolbox`` is the way in. A tool that is not here is "not found", as in the real image.
"""
