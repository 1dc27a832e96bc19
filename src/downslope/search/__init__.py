"""Search over settings: spaces, samplers, trials, refits and honest comparisons."""

from downslope.search.calibration import (
    Reliability,
    confidence_of,
    confident_mistakes,
    reliability,
)
from downslope.search.choice import Round, choose, folds, round_store
from downslope.search.classes import ClassScore, class_scores
from downslope.search.crew import Crew, Hire
from downslope.search.halving import Halving
from downslope.search.importance import importances
from downslope.search.intervals import (
    Accuracy,
    Comparison,
    PairedTest,
    accuracy_of,
    bootstrap_interval,
    compare,
    paired_test,
    wilson_interval,
)
from downslope.search.refit import Minibatch, Refit, RefitEpoch, RefitResult, refit
from downslope.search.result import Candidate, Choice, SearchResult, best_of
from downslope.search.samplers import Proposer, Sampler, propose
from downslope.search.settings import Settings
from downslope.search.spaces import Range, Space
from downslope.search.study import search
from downslope.search.trials import PausedTrial, Trial, TrialEpoch, TrialStore

__all__ = [
    "Accuracy",
    "Candidate",
    "Choice",
    "ClassScore",
    "Comparison",
    "Crew",
    "Halving",
    "Hire",
    "Minibatch",
    "PairedTest",
    "PausedTrial",
    "Proposer",
    "Range",
    "Refit",
    "RefitEpoch",
    "RefitResult",
    "Reliability",
    "Round",
    "Sampler",
    "SearchResult",
    "Settings",
    "Space",
    "Trial",
    "TrialEpoch",
    "TrialStore",
    "accuracy_of",
    "best_of",
    "bootstrap_interval",
    "choose",
    "class_scores",
    "compare",
    "confidence_of",
    "confident_mistakes",
    "folds",
    "importances",
    "paired_test",
    "propose",
    "refit",
    "reliability",
    "round_store",
    "search",
    "wilson_interval",
]
