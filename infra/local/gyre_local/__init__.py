"""Local platform: the real servers, started on this machine."""
