"""The stories of feedback."""
