"""One file from one web address, watched, bounded in size and quick to give up."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from downslope.errors import InputError
from downslope.progress import Progress, Steps

if TYPE_CHECKING:
    from requests import Response

CONNECT_SECONDS = 5.0
"""The longest wait for a connection."""

SILENCE_SECONDS = 20.0
"""The longest wait for the next bytes, and for the first news at all (a name may not resolve)."""


class _StoppedError(Exception):
    pass


class _Meter:
    """Pass pooch's progress on to whoever watches; raise in pooch's thread once nobody does."""

    def __init__(self, limit: int) -> None:
        self.total = 0  # pooch sets it from the answer's header
        self.done = 0
        self.limit = limit
        self.stopped = threading.Event()
        self.news: queue.Queue[Exception | bool] = queue.Queue()

    def update(self, size: int) -> None:
        self.done += size
        if self.stopped.is_set():
            raise _StoppedError
        if self.done > self.limit:
            raise InputError(f"the answer is larger than {self.limit:,} bytes")
        self.news.put(False)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass


def download(address: str, target: Path, limit: int) -> Steps[Path]:
    """Download one file with pooch, in a thread, so that waiting can be watched and ended.

    Args:
        address: http or https.
        target: where to put it; what is there after an error is incomplete.
        limit: the most bytes that are taken.

    Yields:
        Bytes so far.

    Raises:
        InputError: there is no connection, no answer in time, an error status, or more bytes than
            the limit; the message is the reason alone, a few words.
    """
    from pooch import HTTPDownloader

    meter = _Meter(limit)
    answers: list[Response] = []

    def keep(answer: Response, *_: object, **__: object) -> None:
        answers.append(answer)

    fetcher = HTTPDownloader(
        # Annotated as bool, documented to take any object with tqdm's methods as well.
        progressbar=cast(bool, meter),
        timeout=(CONNECT_SECONDS, SILENCE_SECONDS),
        hooks={"response": keep},
    )

    def work() -> None:
        try:
            fetcher(address, str(target), None)
            meter.news.put(True)
        except Exception as error:  # told to the thread that waits
            meter.news.put(error)
        finally:
            for answer in answers:
                answer.close()  # pooch leaves the connection open after an error

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    task = f"downloading {target.name} from {urlsplit(address).hostname}"
    try:
        while True:
            yield Progress(task, meter.done, max(meter.total, meter.done, 1))
            try:
                news = meter.news.get(timeout=SILENCE_SECONDS)
            except queue.Empty:
                raise InputError("no answer") from None
            if news is True:
                return target
            if isinstance(news, InputError):
                raise news
            if isinstance(news, Exception):
                raise InputError(_reason(news))
    finally:
        meter.stopped.set()


def _reason(error: Exception) -> str:
    """Shorten what a web client says of a failure to what its user can act on."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"status {status}"
    text = str(error)
    known = {
        "resolve": "the name cannot be resolved",
        "refused": "connection refused",
        "unreachable": "network unreachable",
        "timed out": "timed out",
        "proxy": "the proxy refuses",
    }
    return next((words for sign, words in known.items() if sign in text.lower()), text[:120])
