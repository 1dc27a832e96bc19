"""Blocks set by templates, which have a macro for each kind of block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from downslope.report.blocks import Block
from downslope.report.display import Drawing


def environment(*, autoescape: bool) -> Environment:
    """Return what reads the report's templates; with autoescape, text is never markup."""
    return Environment(
        loader=PackageLoader("downslope.report"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(
    blocks: Sequence[Block],
    template: str,
    filters: Mapping[str, Callable[..., Any]],
    drawings: Mapping[str, Drawing],
) -> str:
    """Set blocks one after the other; what comes of a page's template is `Markup`."""
    templates = environment(autoescape=template.endswith(".html"))
    templates.filters.update(filters)
    between = Markup("\n") if templates.autoescape else "\n\n"

    def rendered(blocks: Sequence[Block]) -> str:
        return between.join(getattr(macros, type(x).__name__)(x) for x in blocks)

    names = {"rendered": rendered, "drawings": drawings}
    macros: Any = templates.get_template(template).make_module(names)
    return rendered(blocks)
