"""Optuna, imported without a warning: its progress bars, which are never shown here, cause it."""

import warnings

with warnings.catch_warnings():
    # In a notebook without ipywidgets, where `downslope.watch` draws its own.
    warnings.filterwarnings("ignore", "IProgress not found")
    import optuna

__all__ = ["optuna"]
