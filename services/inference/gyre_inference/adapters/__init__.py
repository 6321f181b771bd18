"""One file per neighbour of the service, and their twins in memory."""
