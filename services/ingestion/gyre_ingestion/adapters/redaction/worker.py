"""A process that finds personal data; `redactor` starts it."""

import json

from gyre_ingestion.adapters.processes.serving import Work, serve
from gyre_ingestion.adapters.redaction.presidio import PresidioFinder


def prepare(argument: str) -> Work:
    """Answers a language and a list of texts with a list of findings for each."""
    finder = PresidioFinder(**json.loads(argument))

    def find(language: bytes, texts: bytes) -> bytes:
        found = [finder.find(text, language.decode()) for text in json.loads(texts)]
        return json.dumps([[[f.start, f.end, f.kind] for f in each] for each in found]).encode()

    return find


if __name__ == "__main__":
    serve(prepare)
