"""Nouns and verbs of retrieval; knows no vendor, no wire, no store."""
