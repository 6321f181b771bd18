"""A service's own database, with the outbox, inbox and receipts that make the bus reliable."""

from gyre_runtime.database.database import Database
from gyre_runtime.database.transaction import AlreadyApplied, Transaction

__all__ = ["AlreadyApplied", "Database", "Transaction"]
