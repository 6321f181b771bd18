"""Models for the Triton server: one tensor contract, several engines, one materialise command."""
