"""A process that parses; `parser` starts it."""

import json

from gyre_ingestion.adapters.parsing import wire
from gyre_ingestion.adapters.parsing.files import FileReader
from gyre_ingestion.adapters.processes.serving import Work, serve
from gyre_ingestion.domain.limits import Limits
from gyre_ingestion.domain.parsed import Rejected, RejectionReason


def prepare(argument: str) -> Work:
    """Answers name and content with the document or the verdict."""
    reader = FileReader(Limits(**json.loads(argument)))

    def parse(name: bytes, content: bytes) -> bytes:
        try:
            return wire.encode(reader.read(content, name.decode()))
        except Rejected as verdict:
            return wire.encode(verdict)
        except MemoryError:
            return wire.encode(_too_much("Reading the file needs too much memory."))
        except RecursionError:
            return wire.encode(_too_much("The file is nested too deeply."))

    return parse


def _too_much(detail: str) -> Rejected:
    return Rejected(RejectionReason.LIMIT_EXCEEDED, detail)


if __name__ == "__main__":
    serve(prepare)
