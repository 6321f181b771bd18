"""A process of its own for what is heavy to import: metrics, tests, plots, experiment tracking.

`jobs.py` says what it can do; `gyre_runtime.worker` starts it and asks it.
"""
