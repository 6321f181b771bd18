"""The demo knowledge base: its documents and its questions."""
