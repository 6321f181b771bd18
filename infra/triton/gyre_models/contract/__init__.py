"""What every language model engine shares: tensors, requests, outcomes, errors, the Triton door."""
