"""Starts the server of a page."""

import ipaddress
import secrets
import socket
import sys
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import uvicorn
from fastapi import FastAPI

from pellucid.errors import InputError


@runtime_checkable
class AppFactory(Protocol):
    """Makes the application of a page."""

    def __call__(self, *, token: str | None, local_only: bool) -> FastAPI:
        """Makes it for a secret, and for this machine's own names or for all."""
        ...


def serve(
    make_app: AppFactory, *, host: str, port: int, token: str | None, announce: Callable[[str], None]
) -> None:
    """Serves a page until it is interrupted.

    Args:
        make_app: makes the application.
        host: address to listen at. Any but this machine's own needs a token; None makes one.
        port: 0 takes a free one.
        token: secret that the page's address holds.
        announce: told the address once the server listens.

    Raises:
        InputError: the address is in use or not this machine's.
    """
    local = is_local(host)
    secret = token or (None if local else secrets.token_urlsafe(16))
    listening = listen(host, port)
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    shown = f"[{name}]" if ":" in name else name
    # behind a #, where browsers keep it to themselves
    secret_part = f"#token={secret}" if secret else ""
    announce(f"http://{shown}:{listening.getsockname()[1]}/{secret_part}")
    app = make_app(token=secret, local_only=local)
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off")
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        listening.close()


def listen(host: str, port: int) -> socket.socket:
    """Opens a socket that answers without delay.

    Raises:
        InputError: the address is in use or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off for sockets that name TCP alone, and create_server's do not; with it
    # an answer's content waits 40 ms for the acknowledgement of its headers
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # there it would let two servers share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(256)
    except OSError as error:
        listening.close()
        raise InputError(
            f"Cannot listen at {host}:{port}: {error.strerror or error}. Choose another --port or --host."
        ) from None
    return listening


def is_local(host: str) -> bool:
    """Tells whether an address is this machine's own, which no other can reach."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
