"""What a request is made of, and what comes back."""

from tensorrt_llm.executor.request import LoRARequest
from tensorrt_llm.executor.utils import RequestError

__all__ = ["LoRARequest", "RequestError"]
