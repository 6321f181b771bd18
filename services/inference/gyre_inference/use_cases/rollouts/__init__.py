"""A candidate goes to everybody by steps, or back."""
