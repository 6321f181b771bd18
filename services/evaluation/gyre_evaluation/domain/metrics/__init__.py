"""Metrics: what each is called, says and needs, and how it is computed."""
