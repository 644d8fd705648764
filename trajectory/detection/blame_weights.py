"""What blame's signals weigh, in log-odds, and where that comes from.

Origin: maximum a posteriori of a conditional logit with a Gaussian prior (mean 0, variance 1) over the development half of
Who&When (71 runs of groups, 28 of teams; arXiv:2505.00212), fitted and printed by `python -m tests.benchmarks._blame_fit`, and
scored there by cross-validation over tasks. Two kinds of runs have tables of their own: peers that talk in turn, and teams in
which one gives out work in rounds. The teams ran no code and made up no data: what that weighs is the peers'. Called by blame.
"""

Weights = dict[str, float]

PEERS: Weights = {
    "made_up": 1.71,
    "codes_first": 1.06,
    "bare": -0.96,
    "failed_first": 0.9,
    "claims": 0.81,
    "after_failures": 0.73,
    "corrects": -0.7,
    "hedges": 0.66,
    "reaches_answer": 0.53,
    "weight": 0.52,
    "heaviest": 0.52,
    "unsourced": 0.27,
}
PEERS_CAUSAL: Weights = {
    "made_up": 1.73,
    "codes_first": 1.24,
    "bare": -0.97,
    "weight": 0.81,
    "claims": 0.76,
    "hedges": 0.75,
    "failed_first": 0.74,
    "corrects": -0.69,
    "after_failures": 0.65,
    "unsourced": 0.5,
}
_FROM_PEERS = ("made_up", "failed_first")
TEAM: Weights = {
    "early": 1.35,
    "reaches_answer": 1.1,
    "delegates_late": -0.65,
    "stuck_rounds": 0.6,
    "last_work": 0.5,
    "hedges": 0.36,
    **{name: PEERS[name] for name in _FROM_PEERS},
}
TEAM_CAUSAL: Weights = {
    "early": 1.9,
    "hedges": 0.98,
    "delegates_late": -0.87,
    **{name: PEERS_CAUSAL[name] for name in _FROM_PEERS},
}
FAILING: Weights = {  # a logistic regression over each step of 24 runs of teams, of which all failing steps are known
    "says": -3.62,  # every step has it: the constant
    "activity": 1.92,
    "reaches_answer": 1.62,
    "stuck_rounds": 0.96,
    "delegates": 0.91,
    "delegates_late": 0.63,
    "works": -0.52,
    "stuck_after": 0.42,
    "thinks_late": -0.26,
    "rounds_before": 0.15,
}
