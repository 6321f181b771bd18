"""The stories: datasets, runs, comparisons; live answers watched."""
