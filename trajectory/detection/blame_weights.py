"""What blame's signals weigh, in log-odds, and where that comes from.

Origin: maximum a posteriori of a conditional logit with a Gaussian prior (mean 0, variance 1) over the development half of
Who&When (71 runs of groups, 28 of teams; arXiv:2505.00212), fitted and printed by `python -m tests.benchmarks._blame_fit`, and
scored there by cross-validation over tasks. Two kinds of runs have tables of their own: peers that talk in turn, and teams in
which one gives out work in rounds. The teams ran no code and made up no data: what that weighs is the peers'. Called by blame.
"""

Weights = dict[str, float]

PEERS: Weights = {
    "made_up": 1.71,
    "codes_first": 1.04,
    "bare": -0.95,
    "failed_first": 0.85,
    "claims": 0.8,
    "corrects": -0.7,
    "after_failures": 0.67,
    "hedges": 0.67,
    "weight": 0.52,
    "heaviest": 0.52,
    "reaches_answer": 0.5,
    "unsourced": 0.27,
}
PEERS_CAUSAL: Weights = {
    "made_up": 1.73,
    "codes_first": 1.21,
    "bare": -0.96,
    "weight": 0.82,
    "claims": 0.76,
    "hedges": 0.76,
    "corrects": -0.69,
    "failed_first": 0.69,
    "after_failures": 0.6,
    "unsourced": 0.49,
}
_FROM_PEERS = ("made_up", "failed_first")
TEAM: Weights = {
    "early": 1.35,
    "reaches_answer": 1.08,
    "delegates_late": -0.66,
    "stuck_rounds": 0.6,
    "last_work": 0.51,
    "hedges": 0.37,
    **{name: PEERS[name] for name in _FROM_PEERS},
}
TEAM_CAUSAL: Weights = {
    "early": 1.9,
    "hedges": 0.98,
    "delegates_late": -0.87,
    **{name: PEERS_CAUSAL[name] for name in _FROM_PEERS},
}
FAILING: Weights = {  # a logistic regression over each step of 24 runs of teams, of which all failing steps are known
    "says": -3.64,  # every step has it: the constant
    "activity": 1.92,
    "reaches_answer": 1.65,
    "stuck_rounds": 0.95,
    "delegates": 0.92,
    "delegates_late": 0.63,
    "works": -0.53,
    "stuck_after": 0.43,
    "thinks_late": -0.25,
    "rounds_before": 0.16,
}
