"""Chains: steps that feed one another."""
