"""Below these sizes a test says nothing."""

LEAST = 30
"""Values that each side needs."""
LEAST_EXPECTED = 5.0
"""Expected number in a cell of a table; rarer values are counted together."""
FEW_VALUES = 10
"""Numbers of at most so many different values are compared as words."""
