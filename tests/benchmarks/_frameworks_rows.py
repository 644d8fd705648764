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
    tool_names: dict[str, str] = field(default_factory=dict)  # where a framework calls the story's tools otherwise

    @property
    def name(self) -> str:
        return f"{self.framework}/{self.instrumentation}"

    @property
    def program(self) -> str:
        return "play_" + self.framework.replace("-", "_")


_OPENAI_AGENTS = (
    "openai-agents", "openinference-instrumentation-openai-agents", "opentelemetry-instrumentation-openai-agents",
)  # fmt: skip
_LANGGRAPH = (
    "langgraph", "langchain", "langchain-openai", "openinference-instrumentation-langchain",
    "opentelemetry-instrumentation-langchain",
)  # fmt: skip
_PYDANTIC_AI = ("pydantic-ai-slim[openai]", "openinference-instrumentation-pydantic-ai")
_SMOLAGENTS = ("smolagents[openai]", "openinference-instrumentation-smolagents")
_AUTOGEN = (
    "autogen-agentchat", "autogen-ext[openai]", "openinference-instrumentation-autogen-agentchat",
    "openinference-instrumentation-openai",
)  # fmt: skip
_GOOGLE_ADK = ("google-adk", "openinference-instrumentation-google-adk")
_CREWAI = (
    "crewai", "openinference-instrumentation-crewai", "openinference-instrumentation-openai",
    "opentelemetry-instrumentation-crewai", "opentelemetry-instrumentation-openai",
)  # fmt: skip
_QUIET = {"CREWAI_DISABLE_TELEMETRY": "true", "CREWAI_TRACING_ENABLED": "false", "OTEL_SDK_DISABLED": "false"}
_HAYSTACK = ("haystack-ai", "openinference-instrumentation-haystack", "opentelemetry-haystack")
_SEMANTIC_KERNEL = {"SEMANTICKERNEL_EXPERIMENTAL_GENAI_ENABLE_OTEL_DIAGNOSTICS_SENSITIVE": "true"}
_IN_PLUGINS = {"read_sensor": "Sensors-read_sensor", "order_part": "Parts-order_part"}
_MISPLACED = "the leader's last call of the model is under its member's span, which had ended before"
_NAMELESS = "agents are spans `Agent.run` without a name; the names are those of the tools that the model asks for"
_NO_TOOLS = "calls of tools have no span: only what the model asked for, and in the next prompt what came of it"
_UNMARKED = "the span of the tool that raised is not marked, the step around it is; its result says the error"
_HAYSTACK_UNSEEN = {
    "agents": _NAMELESS, "delegations": _NAMELESS, "modes": _NAMELESS, "by agent": _NAMELESS, "lost constraint": _NAMELESS,
    "tools": _NO_TOOLS, "root error": _NO_TOOLS, "soft error": _NO_TOOLS,
}  # fmt: skip

ROWS = (
    Played("openai-agents", "openinference", _OPENAI_AGENTS),
    Played("openai-agents", "traceloop", _OPENAI_AGENTS),
    Played("langgraph", "openinference", _LANGGRAPH),
    Played("langgraph", "traceloop", _LANGGRAPH),
    Played("pydantic-ai", "native", _PYDANTIC_AI),
    Played("pydantic-ai", "openinference", _PYDANTIC_AI),
    Played("smolagents", "openinference", _SMOLAGENTS),
    Played("autogen", "native", _AUTOGEN),
    Played("autogen", "openai", _AUTOGEN),
    Played("autogen", "openinference", _AUTOGEN),
    Played("google-adk", "native", _GOOGLE_ADK),
    Played("google-adk", "openinference", _GOOGLE_ADK),
    Played("crewai", "openinference", _CREWAI, _QUIET),
    Played("crewai", "traceloop", _CREWAI, _QUIET, {"tools": _NO_TOOLS, "soft error": _NO_TOOLS}),
    Played("haystack", "openinference", _HAYSTACK, unseen=_HAYSTACK_UNSEEN),
    Played("haystack", "native", _HAYSTACK, unseen={"raise root error": _UNMARKED, "raise soft error": _UNMARKED}),
    Played("semantic-kernel", "native", ("semantic-kernel",), _SEMANTIC_KERNEL, tool_names=_IN_PLUGINS),
    Played("beeai", "openinference", ("beeai-framework", "openinference-instrumentation-beeai")),
    Played("agent-framework", "native", ("agent-framework-core", "agent-framework-openai")),
    Played(
        "agno",
        "openinference",
        ("agno", "openai", "openinference-instrumentation-agno"),
        unseen={"nested by agent": _MISPLACED},
    ),
)
