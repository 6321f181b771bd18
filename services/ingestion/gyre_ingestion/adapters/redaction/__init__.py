"""Finds personal data (library: Presidio)."""
