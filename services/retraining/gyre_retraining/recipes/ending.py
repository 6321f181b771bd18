"""How a job ends, in words and exit codes."""

ENDED, FAILED, STOPPED = 0, 2, 75


class JobError(Exception):
    """The job cannot succeed. reason: a word that can be counted; detail: a sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class Stopped(Exception):
    """The job was asked to stop and has kept a checkpoint; the same folder goes on with it."""
