"""The prompt in use: the words shared with the inference service's prompt file."""

from collections.abc import Sequence

from gyre_retraining.recipes.reader.items import REFUSAL
from gyre_retraining.recipes.reader.text import one_line


def user_message(question: str, sentences: Sequence[str]) -> str:
    """Numbered sentences, best first, one a line, then the question."""
    numbered = "\n".join(choices(sentences))
    return f"Sentences:\n{numbered}\n\nQuestion: {one_line(question)}"


def choices(sentences: Sequence[str]) -> list[str]:
    """The answers that cite: `[n] ` and sentence n word for word."""
    return [f"[{number}] {one_line(text)}" for number, text in enumerate(sentences, start=1)]


def guide(sentences: Sequence[str]) -> list[str]:
    """Everything the model may answer: one of the citations, or the refusal."""
    return [*choices(sentences), REFUSAL]
