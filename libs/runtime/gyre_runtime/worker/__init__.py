"""A process of its own for what is heavy to import, dear in memory, or may end its process.

`process.py` is the parent's side. `__main__.py` is a child for jobs of our own; another child may
speak the same lines of JSON: `{"ready": true}` once, then for each `{"job": ..., "given": ...}`
either `{"ok": ...}` or `{"error": ...}`, until its input ends.
"""

from gyre_runtime.worker.process import JobFailed, Worker, worker_of

__all__ = ["JobFailed", "Worker", "worker_of"]
