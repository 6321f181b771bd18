"""What only the services together can prove, and how fast they are."""
