"""Features of feedback on Feast."""
