"""The command line: parse, call, print. Nothing here computes, and --help imports no torch."""

from downslope.cli.application import app, main

__all__ = ["app", "main"]
