"""What all pages share: style, colours for light and dark, figures and tables that can be saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from downslope.report import statements, wording
from downslope.report.interactive import Scene, scenes_json
from downslope.report.packing import packed
from downslope.report.picture import Picture, packed_data


def set_page(
    template: str,
    heading: str,
    pictures: Mapping[str, Picture],
    *,
    scripts: Sequence[str] = (),
    scenes: Sequence[Scene] = (),
    **content: Any,
) -> str:
    """Set a page: one file that asks for nothing from anywhere.

    Args:
        template: that extends `shell.html`.
        heading: of the page.
        pictures: its figures, by name.
        scripts: of its own.
        scenes: landscapes to turn and walk through.
        content: what the template shows.
    """
    environment = Environment(
        loader=PackageLoader("downslope.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=wording.percent,
        number=wording.figure,
        loss=wording.loss,
        duration=wording.duration,
        points=wording.points,
        prose=wording.prose,
    )
    names = ["saving.js", *scripts, *(["landscape.js"] if scenes else [])]
    return environment.get_template(template).render(
        heading=heading,
        pictures=pictures,
        wording=wording,
        statements=statements,
        style=_asset("page.css"),
        theme_script=_asset("theme.js"),
        script=Markup("\n").join(map(_asset, names)),
        data_packed=packed_data(pictures),
        # Escaped there, for its place in a script element.
        landscape_json=Markup(scenes_json(scenes)) if scenes else None,
        plotly=packed(get_plotlyjs()) if scenes else None,
        **content,
    )


def _asset(name: str) -> Markup:
    """Read a style sheet or a script of ours, which goes into the page as it is."""
    return Markup((resources.files("downslope.report") / "templates" / name).read_text("utf-8"))
