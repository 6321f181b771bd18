"""The `gyre` command line."""
