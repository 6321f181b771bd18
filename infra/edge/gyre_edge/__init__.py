"""OpenAI-compatible REST in front of gyre's RPCs."""
