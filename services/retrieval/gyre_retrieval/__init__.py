"""Vectors kept, passages found."""
