"""Whether a Ray cluster answers at an address.

Ray itself tries for minutes where nothing listens, and waits for ever on a server that is none. Its
head speaks gRPC, which is HTTP/2, so one greeting tells within a round trip.
"""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from downslope.errors import InputError

_SETTINGS: Final = b"\x04"  # type of a frame, RFC 9113, section 6.5
_GREETING: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + _SETTINGS + bytes(5)


def check_address(address: str) -> None:
    """Refuse an address where no head of a cluster answers.

    Raises:
        InputError: nothing listens there, or another server.
    """
    if address == "auto":  # the cluster started last on this machine, which may be dead
        noted = Path(os.environ.get("RAY_TMPDIR", tempfile.gettempdir()), "ray/ray_current_cluster")
        with suppress(OSError):
            address = noted.read_text("utf-8").strip()
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or "/" in host:
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), 10) as connection:
            if os.environ.get("RAY_USE_TLS") == "1":
                return
            connection.sendall(_GREETING)
            if connection.recv(9)[3:4] != _SETTINGS:
                raise InputError(f"executor ray: what answers at {address} is not a Ray cluster")
    except (OSError, UnicodeError, OverflowError) as error:  # no such name, no such port
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"executor ray: no cluster at {address} ({reason})") from None
