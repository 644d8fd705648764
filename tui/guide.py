"""The next most useful key, for whoever sees a dashboard for the first time: from the list of runs to where a fault began.

Invariant: one line at a time; a step that was done is not told again, by whatever way one came further. `trajectory demo` turns
it on; the hint line shows it while it has nothing else to say.
"""

# Each step by the screen and the pane (any, if empty) that it leads on from, and in words.
_STEPS = (
    ("runs", "", "{enter} opens the run under the cursor"),
    ("cockpit", "", "a goes to the alerts: what went wrong in this run"),
    ("cockpit", "alerts", "{enter} opens the alert under the cursor: where it began, and how far it came"),
    ("alert", "", "{root} is where it began: {enter} shows that step whole, with what it read and what it made of it"),
    ("span", "", "esc goes back, one step each time; ? has all the keys"),
)


class Guide:
    """How far somebody has come."""

    def __init__(self) -> None:
        self._next = 0

    def hint(self, screen: str, pane: str) -> str:
        """What to do here, with {enter} and {root} for signs; nothing where that was done before, or is not for here."""
        here = [at for at, (name, where, _) in enumerate(_STEPS) if name == screen and where in ("", pane)]
        if not here:
            return ""
        self._next = max(self._next, here[-1])
        return _STEPS[here[-1]][2] if here[-1] == self._next else ""
