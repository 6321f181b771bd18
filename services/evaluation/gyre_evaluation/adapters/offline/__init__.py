"""Datasets, runs and recorded answers in the service's database."""
