"""Parts of the gRPC door."""
