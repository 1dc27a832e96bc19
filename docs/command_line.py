"""A hook of the documentation's build: the reference of the command line, from its source."""

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
