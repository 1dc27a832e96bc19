"""Search over settings: spaces, samplers, trials, refits and honest comparisons."""

from downslope.search.intervals import Accuracy, Comparison, accuracy_of, compare, wilson_interval
from downslope.search.refit import Minibatch, Refit, RefitEpoch, RefitResult, refit
from downslope.search.samplers import Sampler, propose
from downslope.search.settings import Settings
from downslope.search.spaces import Range, Space
from downslope.search.study import SearchResult, best_of, search
from downslope.search.trials import Trial, TrialEpoch, TrialStore

__all__ = [
    "Accuracy",
    "Comparison",
    "Minibatch",
    "Range",
    "Refit",
    "RefitEpoch",
    "RefitResult",
    "Sampler",
    "SearchResult",
    "Settings",
    "Space",
    "Trial",
    "TrialEpoch",
    "TrialStore",
    "accuracy_of",
    "best_of",
    "compare",
    "propose",
    "refit",
    "search",
    "wilson_interval",
]
