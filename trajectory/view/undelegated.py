"""What is said where a run has no delegations: why, and what to do where its agents do ask one another.

Invariant: no delegation is guessed; the sentence says what the facts do not. The cockpit and `trajectory show` say it.
"""

NONE_RECORDED = "no delegation was recorded"


def undelegated(agents_count: int) -> str:
    """One sentence for a run of so many agents without a delegation between any of them."""
    if agents_count < 2:
        return NONE_RECORDED
    return (
        f"{NONE_RECORDED}: none of these {agents_count} agents works under another, and nothing says that one asked another; "
        'where one does, wrap the call: with trajectory.delegate("name", task)'
    )
