"""Under which key a mark stands that is about more than one alert: a kind in a run, or a kind for one agent in a run.

Invariant: pure; none of these keys is the key of an alert, which ends in a colon and hexadecimal digits. The dashboard marks by
them, and whoever makes alerts of findings looks marks up by them.
"""

_EVERY = "*"


def key_of_kind(kind: str) -> str:
    """The key of every alert of a kind."""
    return f"{kind}:{_EVERY}"


def key_of_agent(kind: str, agent: str) -> str:
    """The key of every alert of a kind that names an agent."""
    return f"{kind}:{_EVERY}:{agent}"
