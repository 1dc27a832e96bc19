"""Studies: phenomena that only populations show, one command each, judged against a paper."""

from downslope.studies.barriers import Barriers
from downslope.studies.catalogue import STUDIES, study_named
from downslope.studies.edge_of_stability import EdgeOfStability
from downslope.studies.running import StudyResult, run_study
from downslope.studies.study import Analysis, Part, Study
from downslope.studies.trainability import Trainability

__all__ = [
    "STUDIES",
    "Analysis",
    "Barriers",
    "EdgeOfStability",
    "Part",
    "Study",
    "StudyResult",
    "Trainability",
    "run_study",
    "study_named",
]
