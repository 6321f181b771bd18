"""A process of its own for what is heavy to import: metrics, tests, plots, experiment tracking.

`process.py` is its parent's side, `__main__.py` the child's, `jobs.py` what it can do.
"""
