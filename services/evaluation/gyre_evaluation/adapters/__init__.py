"""One file per vendor, and `memory.py`, the honest twin."""
