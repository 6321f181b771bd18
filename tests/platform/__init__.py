"""The whole platform as its own processes, started for tests and for measuring."""
