"""What a team's work looks like in numbers: measures of spans, their sums by group, what is usual for each."""
