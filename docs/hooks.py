"""Hooks of the documentation's build: the command line from its source, long names in tables."""

import re
import subprocess
import sys
from typing import Any

MARK = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put what Typer writes of the commands in the place of the mark."""
    if MARK not in markdown:
        return markdown
    words = ["-m", "typer", "downslope.cli.application", "utils", "docs", "--name", "downslope"]
    done = subprocess.run([sys.executable, *words], text=True, capture_output=True, check=True)
    # The page has its own title, above which nothing may stand.
    return markdown.replace(MARK, done.stdout.partition("\n")[2].replace("\n#", "\n##"))


def on_page_content(html: str, **_: Any) -> str:
    """Let long names in tables break after a word of theirs."""

    def breakable(name: re.Match[str]) -> str:
        return re.sub(r"(::|_)", r"\1<wbr>", name[0])

    return re.sub(r"(?<=<td><code>)[^<]+", breakable, html)
