import contextlib
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from downslope.data import download as module
from downslope.data.download import download
from downslope.errors import InputError
from downslope.progress import drain


class Quiet(SimpleHTTPRequestHandler):
    def copyfile(self, source, outputfile):
        with contextlib.suppress(ConnectionError):  # the client may leave
            super().copyfile(source, outputfile)

    def log_message(self, *args):
        pass


class Silent(BaseHTTPRequestHandler):
    """Accept a request and never answer it."""

    def do_GET(self):
        self.server.asked.set()  # type: ignore[attr-defined]
        self.server.closing.wait(10)  # type: ignore[attr-defined]


def serve(handler):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.asked, server.closing = threading.Event(), threading.Event()  # type: ignore[attr-defined]
    threading.Thread(target=partial(server.serve_forever, 0.01), daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_address[1]}/"


@pytest.fixture
def served(tmp_path: Path):
    folder = tmp_path / "served"
    folder.mkdir()
    server, address = serve(partial(Quiet, directory=str(folder)))
    yield folder, address
    server.shutdown()
    server.server_close()


def test_a_file_arrives_whole_and_watched(served, tmp_path: Path):
    folder, address = served
    content = bytes(range(256)) * 2000
    (folder / "a").write_bytes(content)
    seen = list(download(address + "a", tmp_path / "a", 10**6))
    assert (tmp_path / "a").read_bytes() == content
    assert seen[0].task == "downloading a from 127.0.0.1"
    assert seen[-1].done == seen[-1].total == len(content)
    assert [p.done for p in seen] == sorted(p.done for p in seen)


def test_more_than_the_limit_is_refused(served, tmp_path: Path):
    folder, address = served
    (folder / "a").write_bytes(bytes(10**6))
    with pytest.raises(InputError, match="larger than 1,000 bytes"):
        drain(download(address + "a", tmp_path / "a", 1000))


def test_an_error_status(served, tmp_path: Path):
    with pytest.raises(InputError, match=r"^status 404$"):
        drain(download(served[1] + "a", tmp_path / "a", 1000))


def test_nobody_listens(served, tmp_path: Path):
    begin = time.perf_counter()
    with pytest.raises(InputError, match=r"^connection refused$"):
        drain(download("http://127.0.0.1:9/a", tmp_path / "a", 1000))
    assert time.perf_counter() - begin < 5


def test_no_answer_is_given_up_on(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.2)
    server, address = serve(Silent)
    try:
        with pytest.raises(InputError, match=r"^(no answer|timed out)$"):
            drain(download(address + "a", tmp_path / "a", 1000))
        assert server.asked.is_set()
    finally:
        server.closing.set()
        join_workers()
        server.shutdown()
        server.server_close()


def test_a_name_that_takes_for_ever_to_resolve_is_given_up_on(tmp_path: Path, monkeypatch):
    resolving = threading.Event()
    monkeypatch.setattr("requests.get", lambda *args, **more: resolving.wait(10))
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.1)
    with pytest.raises(InputError, match=r"^no answer$"):
        drain(download("http://127.0.0.1/a", tmp_path / "a", 1000))
    resolving.set()
    join_workers()


def join_workers():
    for thread in threading.enumerate():
        if "(ask)" in thread.name:
            thread.join(5)
            assert not thread.is_alive()


def test_a_watcher_who_leaves_ends_the_download(served, tmp_path: Path):
    folder, address = served
    (folder / "a").write_bytes(bytes(50_000_000))
    steps = download(address + "a", tmp_path / "a", 10**9)
    while next(steps).done == 0:
        pass
    steps.close()
    join_workers()
    assert (tmp_path / "a").stat().st_size < 50_000_000
