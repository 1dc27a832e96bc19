"""Hooks of the documentation's build: what is written from its source, long names in tables."""

import inspect
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import msgspec
import nbformat
from mkdocs.structure.files import File
from nbclient import NotebookClient

from downslope.assignment.catalogue import catalogue, changed_lines
from downslope.checked import rules_of
from downslope.networks import NetworkSpec, TrainingSpec
from downslope.recipe import Recipe
from downslope.search import Settings
from downslope.toml import write_toml

EXAMPLES = Path(__file__).parent.parent / "examples"


def on_page_markdown(markdown: str, config: Any = None, files: Any = None, **_: Any) -> str:
    """Put what is written from the source in the place of its mark."""
    for name in re.findall(r"<!-- notebook (\w+) -->", markdown):
        written, pages = notebook(executed(EXAMPLES / f"{name}.ipynb"), name)
        for path, html in pages.items():
            files.append(File.generated(config, path, content=html))
        markdown = markdown.replace(f"<!-- notebook {name} -->", written)
    for mark, write in {
        "<!-- commands -->": commands,
        "<!-- keys -->": keys,
        "<!-- settings -->": settings,
        "<!-- mistakes -->": mistakes,
    }.items():
        if mark in markdown:
            markdown = markdown.replace(mark, write())
    return markdown


def executed(path: Path) -> Any:
    """Run a notebook in a kernel of its own, in an empty folder."""
    cells = nbformat.read(path, 4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            cells,
            resources={"metadata": {"path": folder}},
            extra_arguments=["--log-level=ERROR"],  # a kernel warns of its own transport
        )
        client.execute()
    return cells


def notebook(cells: Any, name: str) -> tuple[str, dict[str, str]]:
    """Write an executed notebook as Markdown, and the pages within it as files by path."""
    pages: dict[str, str] = {}

    def aside(frame: re.Match[str]) -> str:
        path = f"notebooks/{name}-{len(pages)}.html"
        pages[path] = unescape(frame[1])
        return f'src="../{path}"'

    parts: list[str] = []
    for cell in cells.cells:
        if cell.cell_type == "markdown":
            parts.append(re.sub(r"^#", "##", cell.source))  # the page has its own title
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            data = output.get("data", {"text/plain": output.get("text", "")})
            if "text/html" in data:
                shown = re.sub(r'srcdoc="([^"]*)"', aside, data["text/html"])
                parts.append(f'<div class="output">{" ".join(shown.split())}</div>')
            elif "image/png" in data:
                picture = f"data:image/png;base64,{data['image/png'].strip()}"
                parts.append(f'<img src="{picture}" alt="{data["text/plain"]}">')
            else:
                parts.append(f"```text\n{data['text/plain'].rstrip()}\n```")
    return "\n\n".join(parts), pages


def commands() -> str:
    """Write what Typer says of the commands."""
    words = ["-m", "typer", "downslope.cli.application", "utils", "docs", "--name", "downslope"]
    done = subprocess.run([sys.executable, *words], text=True, capture_output=True, check=True)
    # The page has its own title, above which nothing may stand.
    return done.stdout.partition("\n")[2].replace("\n#", "\n##")


def keys() -> str:
    """Write a table of the keys of each table of a recipe: defaults, bounds, meaning."""
    return "\n".join(_tables(Recipe, "", {}))


def settings() -> str:
    """Write a table of what may stand in the settings and the space of a search."""
    return "\n".join(_table(Settings))


def mistakes() -> str:
    """Write the catalogue of mistakes: what is told, why, the wrong and the right lines."""
    return "\n".join(_mistakes())


def _mistakes() -> Iterator[str]:
    function = ""
    for mistake in catalogue():
        if mistake.accepted:
            continue
        if mistake.function != function:
            function = mistake.function
            yield f"## `{function}`\n"
        wrong, right = changed_lines(mistake)
        yield f"### {mistake.number}. {mistake.name}\n\n{mistake.told}\n"
        yield f'```python title="wrong"\n{wrong}\n```\n'
        yield f'```python title="right"\n{right}\n```\n'
        yield f"Why: {mistake.why} [Where it stands]({mistake.see}).\n"


def _tables(kind: type[msgspec.Struct], name: str, known: dict[type, str]) -> Iterator[str]:
    """Write the table of a structure and those below it; `known` are those that are written."""
    if name:
        yield f"### `[{name}]`\n\n{_summary(kind)}\n"
    like = next((known[each] for each in kind.__mro__ if each in known), "")
    if like:
        yield f"Keys as in `[{like}]`.\n"
    yield from _table(kind, known)
    for field in msgspec.structs.fields(kind):
        if _is_struct(field.type):
            below = f"{name}.{field.name}".lstrip(".")
            yield from _tables(field.type, below, known)
            known.setdefault(field.type, below)


def _table(kind: type[msgspec.Struct], known: Iterable[type] = ()) -> Iterator[str]:
    meanings = {
        name: text
        for each in (TrainingSpec, NetworkSpec, *reversed(kind.__mro__))
        for name, text in _described(each)
    }
    elsewhere = {n for each in kind.__mro__ if each in known for n in each.__struct_fields__}
    rows: list[str] = []
    allowed, plain = rules_of(kind), kind()
    for field in msgspec.structs.fields(kind):
        if not _is_struct(field.type) and field.name not in elsewhere:
            value = getattr(plain, field.name)
            default = "" if value in (None, {}) else f"`{write_toml({'x': value}).strip()[4:]}`"
            words = allowed[field.name].one.replace("*", r"\*")
            rows.append(f"| `{field.name}` | {default} | {words} | {meanings[field.name]} |")
    if rows:
        yield "| key | default | it may be | |\n|---|---|---|---|"
        yield "\n".join(rows) + "\n"


def _summary(kind: type) -> str:
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _described(kind: type) -> Iterator[tuple[str, str]]:
    """Yield what a docstring says of each argument."""
    text = (kind.__doc__ and inspect.getdoc(kind)) or ""
    _, _, arguments = text.partition("Args:\n")
    for name, said in re.findall(r"^    (\w+): (.*(?:\n     .*)*)", arguments, re.M):
        yield name, " ".join(said.split())


def on_page_content(html: str, **_: Any) -> str:
    """Let long names in tables break after a word of theirs."""

    def breakable(name: re.Match[str]) -> str:
        return re.sub(r"(::|_)", r"\1<wbr>", name[0])

    return re.sub(r"(?<=<td><code>)[^<]+", breakable, html)
