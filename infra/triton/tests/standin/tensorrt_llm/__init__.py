"""A stand-in, for tests: see README.md beside this folder."""

from tensorrt_llm.llmapi import LLM, SamplingParams

__version__ = "1.2.0+standin"
__all__ = ["LLM", "SamplingParams", "__version__"]
