"""Data sets by name or path, splits, scaling and the sealed test set."""

from downslope.data.arrays import read_arrays, read_examples
from downslope.data.assembly import Kind, max_pixel_of
from downslope.data.description import (
    ClassCount,
    Description,
    FileCheck,
    Listing,
    describe,
    list_datasets,
    verify,
)
from downslope.data.encoding import Encoding, Encodings
from downslope.data.examples import (
    Column,
    Dataset,
    Examples,
    Opening,
    SealedTestSet,
    Task,
    content_digest,
)
from downslope.data.fetching import fetch, find
from downslope.data.files import finite_rows
from downslope.data.loading import load, load_steps
from downslope.data.numbers import NumberMethod
from downslope.data.preparation import Encoder, Range, Scaling, split

__all__ = [
    "ClassCount",
    "Column",
    "Dataset",
    "Description",
    "Encoder",
    "Encoding",
    "Encodings",
    "Examples",
    "FileCheck",
    "Kind",
    "Listing",
    "NumberMethod",
    "Opening",
    "Range",
    "Scaling",
    "SealedTestSet",
    "Task",
    "content_digest",
    "describe",
    "fetch",
    "find",
    "finite_rows",
    "list_datasets",
    "load",
    "load_steps",
    "max_pixel_of",
    "read_arrays",
    "read_examples",
    "split",
    "verify",
]
