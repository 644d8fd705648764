"""Which frameworks are played, with which instrumentation, and what of each was looked for on the wire and is not there.

Invariant: `unseen` names only what somebody looked for in the bytes; what can be looked up by its text is not listed, because
`_frameworks_score` does that itself. Read by `frameworks`.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Played:
    """One framework with one instrumentation. `packages` begins with the framework's own."""

    framework: str
    instrumentation: str
    packages: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    unseen: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.framework}/{self.instrumentation}"

    @property
    def program(self) -> str:
        return self.framework.replace("-", "_")


_OPENAI_AGENTS = (
    "openai-agents", "openinference-instrumentation-openai-agents", "opentelemetry-instrumentation-openai-agents",
)  # fmt: skip

ROWS = (
    Played("openai-agents", "openinference", _OPENAI_AGENTS),
    Played("openai-agents", "traceloop", _OPENAI_AGENTS),
)
