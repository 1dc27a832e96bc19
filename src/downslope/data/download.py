"""One file from one web address, watched, bounded in size and quick to give up."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from urllib.parse import urlsplit

import requests

from downslope.errors import InputError
from downslope.progress import Progress, Steps

CONNECT_SECONDS = 5.0
"""The longest wait for a connection."""

SILENCE_SECONDS = 20.0
"""The longest wait for the next bytes, and for the first news at all (a name may not resolve)."""

_PIECE = 2**16  # bytes


def download(address: str, target: Path, limit: int) -> Steps[Path]:
    """Download one file.

    Yields:
        Bytes so far.
    """
    task, done = f"downloading {target.name} from {urlsplit(address).hostname}", 0
    yield Progress(task, 0, 1)
    try:
        with _ask(address) as answer, target.open("wb") as file:
            answer.raise_for_status()
            total = int(answer.headers.get("content-length", 0))
            for piece in answer.iter_content(_PIECE):
                done += file.write(piece)
                if done > limit:
                    raise InputError(f"the answer is larger than {limit:,} bytes")
                yield Progress(task, done, max(total, done))
    except requests.RequestException as error:
        raise InputError(_reason(error)) from None
    return target


def _ask(address: str) -> requests.Response:
    """Send a request in a thread, so that a name that does not resolve can be given up on."""
    answers: queue.Queue[requests.Response | Exception] = queue.Queue()

    def ask() -> None:
        try:
            timeouts = (CONNECT_SECONDS, SILENCE_SECONDS)
            answers.put(requests.get(address, stream=True, timeout=timeouts))
        except Exception as error:  # told to the thread that waits
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=SILENCE_SECONDS)
    except queue.Empty:
        raise InputError("no answer") from None
    if isinstance(answer, Exception):
        raise InputError(_reason(answer))
    return answer


def _reason(error: Exception) -> str:
    """Shorten what a web client says of a failure to what its user can act on."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"status {error.response.status_code}"
    text = str(error)
    known = {
        "resolve": "the name cannot be resolved",
        "refused": "connection refused",
        "unreachable": "network unreachable",
        "timed out": "timed out",
        "proxy": "the proxy refuses",
    }
    return next((words for sign, words in known.items() if sign in text.lower()), text[:120])
