"""Reports: a run's results as a page, as a PDF and as a closing table, without training."""

from downslope.report.comparison import read_sides, write_comparison
from downslope.report.document import write_report
from downslope.report.export import write_export
from downslope.report.headline import summary
from downslope.report.search import advice

__all__ = ["advice", "read_sides", "summary", "write_comparison", "write_export", "write_report"]
