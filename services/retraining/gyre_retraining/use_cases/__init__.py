"""The stories: datasets, trainings, models, lineage."""
