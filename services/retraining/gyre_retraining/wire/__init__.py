"""Nouns of the domain as messages of the contract, and back."""
