"""Data sets by name or path, splits, scaling and the sealed test set."""

from downslope.data.arrays import read_examples
from downslope.data.assembly import Kind, white_level
from downslope.data.description import (
    ClassCount,
    Description,
    FileCheck,
    Listing,
    describe,
    list_datasets,
    verify,
)
from downslope.data.examples import Dataset, Examples, Opening, SealedTestSet, content_digest
from downslope.data.fetching import fetch, find
from downslope.data.files import finite_rows
from downslope.data.loading import load
from downslope.data.preparation import Range, Scaling, split

__all__ = [
    "ClassCount",
    "Dataset",
    "Description",
    "Examples",
    "FileCheck",
    "Kind",
    "Listing",
    "Opening",
    "Range",
    "Scaling",
    "SealedTestSet",
    "content_digest",
    "describe",
    "fetch",
    "find",
    "finite_rows",
    "list_datasets",
    "load",
    "read_examples",
    "split",
    "verify",
    "white_level",
]
