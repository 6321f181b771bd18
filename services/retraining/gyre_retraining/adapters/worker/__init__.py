"""A process of its own for MLflow, which takes seconds and hundreds of megabytes to import.

`process.py` is its parent's side, `__main__.py` the child's, `jobs.py` what it can do.
"""
