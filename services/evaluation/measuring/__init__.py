"""Measures what the service decides by, and fits its constants: `python -m measuring --help`."""
