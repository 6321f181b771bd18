"""Nouns and rules of feedback."""
