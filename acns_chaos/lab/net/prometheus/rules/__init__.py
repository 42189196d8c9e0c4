"""Rules that a Prometheus evaluates: files of them, and what becomes of their alerts.

``evaluator`` is the way in; ``reading`` knows the file, ``alerting`` one rule's alerts, ``texts``
the templates and how an expression is written.
"""
