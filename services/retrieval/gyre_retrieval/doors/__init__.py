"""The doors of further gRPC services: indexes."""
