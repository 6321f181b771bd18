"""What the service remembers of live answers, in its own database."""
