"""Further gRPC services: one method, one call, one reply."""
