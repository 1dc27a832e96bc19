"""The notebooks of examples/ run in a kernel, and what the documentation shows of them."""

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
HOOKS = runpy.run_path(str(ROOT / "docs/hooks.py"))
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
LONGEST = 20_000
"""Bytes of an output that is no figure."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def executed(request: pytest.FixtureRequest) -> tuple[str, Any]:
    return request.param.stem, HOOKS["executed"](request.param)


def outputs(cells: Any) -> list[Any]:
    return [output for cell in cells.cells for output in cell.get("outputs", [])]


def test_notebooks_run_and_what_they_show_is_small(executed: tuple[str, Any]) -> None:
    name, cells = executed
    for output in outputs(cells):
        assert output.output_type in ("display_data", "execute_result"), output
        for kind, text in output.data.items():
            if kind != "image/png" and "<iframe" not in text:
                assert len(text.encode()) < LONGEST, (kind, text[:200])
    written, pages = HOOKS["notebook"](cells, name)
    assert written.count("```python") == sum(cell.cell_type == "code" for cell in cells.cells)
    assert "srcdoc" not in written and all(path in written for path in pages)
    if name != "tour":
        return
    lines = [line for cell in cells.cells if cell.cell_type == "code" for line in
             cell.source.splitlines() if line.strip()]  # fmt: skip
    assert len(lines) <= 25
    bars = [output.data["text/html"] for output in outputs(cells) if "<progress" in str(output)]
    assert len(bars) == 3 and all('value="1.0000"' in bar for bar in bars)
    assert "7/7 members" in bars[0]
    landscape, report = pages.values()
    assert 'id="terrain"' in landscape and "batch norm" not in landscape
    assert report.startswith("<!doctype html>") and "<h1>" in report
    assert 'class="dataframe"' in written


def test_the_gallery_shows_every_notebook() -> None:
    text = (ROOT / "docs/gallery.md").read_text("utf-8")
    assert all(f"<!-- notebook {path.stem} -->" in text for path in NOTEBOOKS)
