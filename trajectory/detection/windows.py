"""How many tokens the context windows of known models hold, and how many a text has, roughly.

Invariant: a model that is not known has no window: nothing is said of it. The figures are meant to be those that the issuers
(OpenAI, Anthropic, Google, Meta, Mistral, DeepSeek, Cohere, Alibaba) gave in 2025, written down from memory and not checked one
by one; the longest name that a model's begins with counts. Called by the detector of pressure.
"""

import re
from functools import lru_cache

_WINDOWS = {
    "gpt-3.5-turbo": 16_385, "gpt-4": 8_192, "gpt-4-32k": 32_768, "gpt-4-turbo": 128_000, "gpt-4-1106": 128_000,
    "gpt-4-0125": 128_000, "gpt-4o": 128_000, "chatgpt-4o": 128_000, "gpt-4.1": 1_047_576, "gpt-4.5": 128_000,
    "gpt-5": 400_000, "o1": 200_000, "o1-mini": 128_000, "o1-preview": 128_000, "o3": 200_000, "o4-mini": 200_000,
    "claude-2": 100_000, "claude-2.1": 200_000, "claude-3": 200_000, "claude-opus": 200_000, "claude-sonnet": 200_000,
    "claude-haiku": 200_000, "claude-instant": 100_000,
    "gemini-1.0": 32_760, "gemini-1.5-flash": 1_048_576, "gemini-1.5-pro": 2_097_152, "gemini-2": 1_048_576,
    "llama-3": 8_192, "llama3": 8_192, "llama-3.1": 131_072, "llama-3.2": 131_072, "llama-3.3": 131_072, "llama3.1": 131_072,
    "llama3.2": 131_072, "llama3.3": 131_072, "llama-2": 4_096, "mixtral-8x7b": 32_768, "mixtral-8x22b": 65_536,
    "mistral-large": 131_072, "mistral-small": 32_768, "mistral-7b": 32_768, "codestral": 256_000, "command-r": 128_000,
    "deepseek-chat": 131_072, "deepseek-reasoner": 131_072, "qwen2.5": 131_072, "qwen3": 131_072, "gemma-2": 8_192,
    "gemma-3": 131_072,
}  # fmt: skip
_PREFIX = re.compile(r"^(?:[a-z0-9_.-]{1,40}[/:])+")
_VENDOR = re.compile(r"^(?:us|eu|apac)?\.?(?:anthropic|meta|mistral|cohere|amazon|google|openai)\.")
_LONGEST = sorted(_WINDOWS, key=len, reverse=True)
_CHARS_PER_TOKEN = 4.0
_DENSE_CHARS_PER_TOKEN = 1.2  # of scripts without an alphabet
_DENSE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")


@lru_cache(maxsize=256)
def window_of(model: str) -> int:
    """The context window of a model in tokens; 0 where the model is not known."""
    name = _VENDOR.sub("", _PREFIX.sub("", model.strip().casefold()[:200]))
    return next((_WINDOWS[known] for known in _LONGEST if name.startswith(known)), 0)


def rough_tokens(text: str) -> int:
    """How many tokens a text has, by its length: a hint."""
    dense = len(_DENSE.findall(text)) if not text.isascii() else 0
    return int((len(text) - dense) / _CHARS_PER_TOKEN + dense / _DENSE_CHARS_PER_TOKEN)
