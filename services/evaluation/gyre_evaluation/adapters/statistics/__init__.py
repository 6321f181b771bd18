"""Tests of drift with SciPy and scikit-learn.

Importing them costs 100 MB: only the worker process does it.
"""
