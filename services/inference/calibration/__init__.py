"""Programs that measure, on real data, how sentences are chosen and when an answer is refused."""
