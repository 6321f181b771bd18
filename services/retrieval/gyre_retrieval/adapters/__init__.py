"""One vendor per file, and the memory twins."""
