"""Reports: a run's results as a page and as a closing table, without training anything."""

from downslope.report.comparison import read_sides, write_comparison
from downslope.report.export import write_export
from downslope.report.page import write_report
from downslope.report.pdf import write_pdf
from downslope.report.summary import summary
from downslope.report.wording import advice

__all__ = [
    "advice",
    "read_sides",
    "summary",
    "write_comparison",
    "write_export",
    "write_pdf",
    "write_report",
]
