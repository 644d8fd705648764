"""What blame's signals weigh, in log-odds, and where that comes from.

Origin: maximum a posteriori of a conditional logit with a Gaussian prior (mean 0, variance 1) over the development half of
Who&When (71 runs of groups, 28 of teams; arXiv:2505.00212), fitted and printed by `python -m tests.benchmarks._blame_fit`, and
scored there by cross-validation over tasks. Two kinds of runs have tables of their own: peers that talk in turn, and teams in
which one gives out work in rounds. The teams ran no code and made up no data: what that weighs is the peers'. Called by blame.
"""

Weights = dict[str, float]

PEERS: Weights = {
    "made_up": 1.67,
    "acts_first": 1.07,
    "failed_first": 0.92,
    "bare": -0.92,
    "claims": 0.82,
    "after_failures": 0.74,
    "corrects": -0.68,
    "hedges": 0.66,
    "reaches_answer": 0.61,
    "weight": 0.52,
    "heaviest": 0.46,
    "unsourced": 0.32,
}
PEERS_CAUSAL: Weights = {
    "made_up": 1.64,
    "acts_first": 1.24,
    "bare": -0.96,
    "claims": 0.8,
    "hedges": 0.75,
    "failed_first": 0.74,
    "weight": 0.73,
    "corrects": -0.65,
    "after_failures": 0.62,
    "unsourced": 0.54,
}
_FROM_PEERS = ("made_up", "failed_first")
TEAM: Weights = {
    "early": 1.44,
    "reaches_answer": 1.02,
    "delegates_late": -0.66,
    "stuck_rounds": 0.62,
    "last_work": 0.52,
    "hedges": 0.34,
    **{name: PEERS[name] for name in _FROM_PEERS},
}
TEAM_CAUSAL: Weights = {
    "early": 1.9,
    "hedges": 0.98,
    "delegates_late": -0.87,
    **{name: PEERS_CAUSAL[name] for name in _FROM_PEERS},
}
FAILING: Weights = {  # a logistic regression over each step of 24 runs of teams, of which all failing steps are known
    "says": -3.67,  # every step has it: the constant
    "activity": 1.89,
    "reaches_answer": 1.8,
    "stuck_rounds": 1.01,
    "delegates": 0.95,
    "delegates_late": 0.63,
    "works": -0.49,
    "stuck_after": 0.36,
    "thinks_late": -0.25,
    "rounds_before": 0.12,
}
