"""The story of ingestion, one file per chapter."""
