"""Work on strangers' data in processes with few rights."""
