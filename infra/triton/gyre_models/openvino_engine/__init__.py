"""Sentence embeddings on CPUs: OpenVINO over a network exported from a Hugging Face directory."""
