"""get, list and watch: which objects are asked for, and how they are given out or printed.

``reads`` is the way in; ``table`` is what kubectl prints, with the columns of ``columns``. Nothing
here changes an object.
"""
