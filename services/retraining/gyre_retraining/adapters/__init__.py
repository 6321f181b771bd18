"""One file per vendor, and the honest twins in memory."""
