"""Engine `torch`: in-flight batching over any Hugging Face causal language model."""
