"""The assignment itself: a solution, the check of somebody's own, the document to hand in."""

from downslope.assignment.catalogue import Mistake, catalogue
from downslope.assignment.checker import Checker
from downslope.assignment.grading import Rubric, read_rubric
from downslope.assignment.records import Limits
from downslope.assignment.submission import Submission, read_submission
from downslope.assignment.verdicts import Check, Verdict

__all__ = [
    "Check",
    "Checker",
    "Limits",
    "Mistake",
    "Rubric",
    "Submission",
    "Verdict",
    "catalogue",
    "read_rubric",
    "read_submission",
]
