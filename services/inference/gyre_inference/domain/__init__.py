"""Nouns and pure functions of answering."""
