"""How many tokens the context windows of known models hold, and how many a text has, roughly.

Invariant: a version that is not known has no window: nothing is said of it. Where a name moved on to another model, or a window
may be made larger, the largest counts, so that doubt is silent. Called by the detector of pressure.

Looked up on 2026-11-26 at developers.openai.com/docs/models (gpt-4, gpt-4-turbo, gpt-5.4 and its small ones, gpt-5.5),
platform.claude.com/docs/en/models (4.5, 4.6, 5, 5.5), ai.google.dev/gemini-api/docs/models (2.0-flash), docs.cloud.google.com
(gemini-2.5-pro), docs.cohere.com (command-a-reasoning), docs.mistral.ai (7b, 8x7b, 8x22b), api-docs.deepseek.com (V3.1), cards of
Qwen2.5. No issuer's page was read for the others: they are no smaller than in the catalogue of litellm.
"""

import re
from functools import lru_cache

_MILLION = 1_000_000
_WINDOWS = {
    # OpenAI
    "gpt-3.5-turbo": 16_385, "gpt-4": 8_192, "gpt-4-32k": 32_768, "gpt-4-turbo": 128_000, "gpt-4-1106": 128_000,
    "gpt-4-0125": 128_000, "gpt-4o": 128_000, "chatgpt-4o": 128_000, "gpt-4.1": 1_047_576, "gpt-4.5": 128_000,
    "gpt-5": 400_000, "gpt-5-chat": 128_000, "gpt-5.1": 400_000, "gpt-5.2": 400_000, "gpt-5.3": 400_000, "gpt-5.4": 1_050_000,
    "gpt-5.4-mini": 400_000, "gpt-5.4-nano": 400_000, "gpt-5.5": 1_050_000, "gpt-5.6": 1_050_000, "gpt-6": 1_050_000,
    "gpt-6.1": 1_050_000, "o1": 200_000, "o1-mini": 128_000, "o1-preview": 128_000, "o3": 200_000, "o4-mini": 200_000,
    # Anthropic
    "claude-2": 100_000, "claude-2.0": 100_000, "claude-2.1": 200_000, "claude-instant": 100_000, "claude-instant-1": 100_000,
    "claude-3": 200_000, "claude-3.5": 200_000, "claude-3.7": 200_000, "claude-opus-4": 200_000, "claude-opus-4.0": 200_000,
    "claude-opus-4.1": 200_000, "claude-opus-4.5": 200_000, "claude-sonnet-4": 200_000, "claude-sonnet-4.0": 200_000,
    "claude-sonnet-4.5": 200_000, "claude-haiku-4.5": 200_000,
    **dict.fromkeys(
        ("claude-opus-4.6", "claude-opus-4.7", "claude-opus-4.8", "claude-opus-5", "claude-opus-5.5", "claude-sonnet-4.6",
         "claude-sonnet-5", "claude-sonnet-5.5", "claude-haiku-5.5", "claude-fable-5", "claude-fable-5.1", "claude-mythos-5",
         "claude-mythos-5.1"),
        _MILLION,
    ),
    # Google
    "gemini-1.0": 32_760, "gemini-1.5-flash": 1_048_576, "gemini-1.5-pro": 2_097_152, "gemini-2.0": 1_048_576,
    "gemini-2.0-pro": 2_097_152, "gemini-2.5": 1_048_576, "gemini-3": 1_048_576, "gemini-3.1": 1_048_576,
    "gemini-3.5": 1_048_576, "gemini-3.6": 1_048_576, "gemini-3.7": 1_048_576, "gemini-3.8": 1_048_576, "gemma-2": 8_192,
    "gemma-3": 131_072, "gemma-4": 262_144,
    # Meta
    "llama-2": 4_096, "llama2": 4_096, "llama-3": 8_192, "llama3": 8_192, "llama-3.1": 131_072, "llama-3.2": 131_072,
    "llama-3.3": 131_072, "llama3.1": 131_072, "llama3.2": 131_072, "llama3.3": 131_072,
    # Mistral, Cohere, DeepSeek, Alibaba
    "mixtral-8x7b": 32_768, "mixtral-8x22b": 65_536, "mistral-7b": 32_768, "mistral-large": 262_144, "mistral-small": 262_144,
    "codestral": 256_000, "command-r": 128_000, "command-r-plus": 128_000, "command-r-03": 128_000, "command-r-08": 128_000,
    "command-r-plus-04": 128_000, "command-r-plus-08": 128_000, "command-a": 256_000, "command-a-03": 256_000,
    "command-a-reasoning": 256_000, "command-a-reasoning-08": 256_000, "deepseek-chat": _MILLION, "deepseek-reasoner": _MILLION,
    "deepseek-v4": 1_048_576, "qwen2.5": 131_072, "qwen3": 262_144, "qwen3-coder": _MILLION,
}  # fmt: skip
_VENDOR = re.compile(
    r"^(?:(?:us|eu|apac|global)\.)?(?:(?:anthropic|meta|mistral|cohere|amazon|google|openai)\.)?(?:meta-)?"
)
_REST = re.compile(
    r"(?:$|[-:@_\[](?!\d{1,2}(?:[-:@_.]|$)))"
)  # what may follow a version, which another number of it may not
_LONGEST = sorted(((name.replace(".", "-"), window) for name, window in _WINDOWS.items()), key=lambda w: -len(w[0]))
_CHARS_PER_TOKEN = 4.0
_DENSE_CHARS_PER_TOKEN = 1.2  # of scripts without an alphabet
_DENSE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")


@lru_cache(maxsize=256)
def window_of(model: str) -> int:
    """The context window of a model in tokens, by its name at the issuer's, a cloud's or a router's; 0 where it is not known."""
    name = model[:200].strip().casefold().rpartition("/")[2]
    for said in (name, name.partition(":")[2]):  # a tag stands behind a colon, or a provider before it
        plain = _VENDOR.sub("", said).replace(".", "-")
        for known, window in _LONGEST:
            if plain.startswith(known) and _REST.match(plain, len(known)):
                return window
    return 0


def rough_tokens(text: str) -> int:
    """How many tokens a text has, by its length: a hint."""
    dense = len(_DENSE.findall(text)) if not text.isascii() else 0
    return int((len(text) - dense) / _CHARS_PER_TOKEN + dense / _DENSE_CHARS_PER_TOKEN)
