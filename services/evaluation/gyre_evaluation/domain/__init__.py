"""Nouns and verbs of evaluation; knows no vendor, no wire, no store."""
