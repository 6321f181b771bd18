"""Metrics, one file per library, and `scoring.py`, which asks all of them."""
