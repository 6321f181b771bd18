"""What people thought, and what follows from it."""
