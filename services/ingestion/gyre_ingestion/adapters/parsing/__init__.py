"""Finds the text of a file, in a process of its own with limits."""
