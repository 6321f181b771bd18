"""What the gRPC doors share, and the doors of prompts, chains and experiments."""
