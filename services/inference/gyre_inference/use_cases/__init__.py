"""The stories of the service: answer from documents, plain chat, and chains of both."""

from gyre_inference.use_cases.answer import AnswerQuestion
from gyre_inference.use_cases.events import Delta, Done, Event, Started
from gyre_inference.use_cases.generate import GenerateText
from gyre_inference.use_cases.run_chain import RunChain

__all__ = ["AnswerQuestion", "Delta", "Done", "Event", "GenerateText", "RunChain", "Started"]
