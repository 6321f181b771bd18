"""Question in, grounded answer out: retrieve, choose, answer."""
