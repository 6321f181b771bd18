"""A process of its own for MLflow, which takes seconds and hundreds of megabytes to import.

`jobs.py` says what it can do; `gyre_runtime.worker` starts it and asks it.
"""
