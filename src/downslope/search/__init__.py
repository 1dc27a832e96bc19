"""Search over settings: spaces, samplers, trials, refits and honest comparisons."""

from downslope.search.choice import Round, choose, folds, round_store
from downslope.search.halving import Halving
from downslope.search.importance import importances
from downslope.search.refit import Refit, RefitResult, refit
from downslope.search.result import Candidate, Choice, SearchResult, best_of, ranked
from downslope.search.samplers import Sampler, SamplerName, propose
from downslope.search.settings import Settings
from downslope.search.snapshots import snapshot_bytes, trial_snapshots
from downslope.search.spaces import Range, Space
from downslope.search.study import search
from downslope.search.trials import PausedTrial, Trial, TrialEpoch, TrialStore

__all__ = [
    "Candidate",
    "Choice",
    "Halving",
    "PausedTrial",
    "Range",
    "Refit",
    "RefitResult",
    "Round",
    "Sampler",
    "SamplerName",
    "SearchResult",
    "Settings",
    "Space",
    "Trial",
    "TrialEpoch",
    "TrialStore",
    "best_of",
    "choose",
    "folds",
    "importances",
    "propose",
    "ranked",
    "refit",
    "round_store",
    "search",
    "snapshot_bytes",
    "trial_snapshots",
]
