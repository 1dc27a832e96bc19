"""Reports: a run's results as a page and as a closing table, without training anything."""

from downslope.report.page import write_report
from downslope.report.summary import summary

__all__ = ["summary", "write_report"]
