"""Nouns and verbs of retraining; knows no vendor, no wire, no store."""
