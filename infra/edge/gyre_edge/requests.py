"""What an OpenAI client may send; names and meanings are those of OpenAI's REST reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

MOST_INPUTS = 2048
# Options that would change the answer's meaning; what only hints or labels is let pass.
UNSUPPORTED = ("tools", "functions", "audio", "logprobs", "prediction", "web_search_options")

ANSWER = "answer"


class TextPart(BaseModel):
    """A part of a message; pictures and sound are refused."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    @property
    def text(self) -> str:
        """The content as one text."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    """include_usage: one more chunk before the end, with the tokens."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """The body of POST /v1/chat/completions."""

    model: str = Field(min_length=1)
    messages: list[Message] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=0)
    stop: str | list[str] | None = None
    n: int | None = Field(None, ge=1, le=1)
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, str] | None = None

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_is_not_kept(cls, body: Any) -> Any:
        given = body if isinstance(body, Mapping) else {}
        wanted = [name for name in UNSUPPORTED if given.get(name)]
        form = given.get("response_format")
        if form is not None and form != {"type": "text"}:
            wanted.append("response_format")
        if wanted:
            raise ValueError(f"not supported here: {', '.join(wanted)}")
        return body

    @property
    def collection(self) -> str | None:
        """Collection to answer from, for the models `answer` and `answer/<collection>`."""
        name, _, collection = self.model.partition("/")
        return collection or "default" if name == ANSWER else None

    @property
    def question(self) -> str:
        """What the user said last; empty when the user said nothing."""
        said = [message.text for message in self.messages if message.role == "user"]
        return said[-1] if said else ""


Text = Annotated[str, Field(min_length=1)]


class EmbeddingsRequest(BaseModel):
    """The body of POST /v1/embeddings; token numbers instead of text are refused."""

    model: str = Field(min_length=1)
    input: Text | Annotated[list[Text], Field(min_length=1, max_length=MOST_INPUTS)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None

    @property
    def texts(self) -> list[str]:
        """The texts in order."""
        return [self.input] if isinstance(self.input, str) else self.input
