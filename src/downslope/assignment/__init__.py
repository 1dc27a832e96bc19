"""The assignment itself: a solution, the check of somebody's own, the document to hand in."""

__all__: list[str] = []
