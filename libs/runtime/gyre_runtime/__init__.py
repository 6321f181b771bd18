"""What any service needs to be a process on the bus; it knows nothing of the business."""

__version__ = "0.1.0"
