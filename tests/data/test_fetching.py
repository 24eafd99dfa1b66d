"""Fetching: from named hosts only, never from inside a private network, and no more than one may ask for."""

import contextlib
import ipaddress
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pellucid.data.ingest import fetching
from pellucid.data.ingest.fetching import Address, Fetcher, is_public
from pellucid.errors import FileError


class Handler(BaseHTTPRequestHandler):
    """Serves /a, redirects /to?URL, is busy once at /busy, sends without an end at /endless."""

    busy = 1

    def do_GET(self) -> None:
        path, _, target = self.path.partition("?")
        if path == "/busy" and Handler.busy:
            Handler.busy -= 1
            self.send_error(503)
        elif path == "/to":
            self.send_response(302)
            self.send_header("Location", target)
            self.end_headers()
        elif path == "/made":  # says where it lies, and is no redirect
            self.send_response(200)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(b"content")
        elif path == "/endless":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(bytes(1 << 16))
        elif path.startswith("/drip"):
            self.drip(headers=path == "/drip-headers")
        elif path in ("/a", "/busy"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"content")
        else:
            self.send_error(404)

    def drip(self, *, headers: bool) -> None:
        """Sends a byte each 20 ms, so that no time-out of the socket is ever due."""
        if not headers:
            self.send_response(200)
            self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(2000):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.02)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"localhost:{http.server_port}"
        http.shutdown()


def anywhere(address: Address) -> bool:
    return True


def local(*hosts: str) -> Fetcher:
    return Fetcher(hosts=hosts, permitted=anywhere, pause_s=0.01)


def test_a_named_host_is_asked(server: str) -> None:
    assert local("localhost").fetch(f"http://{server}/a") == b"content"
    assert local(".localhost", "localhost").fetch(f"http://{server}/busy") == b"content"  # 503 passes
    with pytest.raises(FileError, match="status 404"):
        local("localhost").fetch(f"http://{server}/b")


@pytest.mark.parametrize(
    "url",
    [
        "http://other.example/a",
        "file:///etc/passwd",
        "ftp://localhost/a",
        "http://localhost@other.example/a",
        "http://xlocalhost/a",
        "",
    ],
)
def test_hosts_and_schemes_that_nobody_named_are_refused(url: str) -> None:
    with pytest.raises(FileError, match="--allow-host"):
        local("localhost").fetch(url)


def test_private_addresses_are_never_asked(server: str) -> None:
    fetcher = Fetcher(hosts=("localhost", "127.0.0.1", "[::1]", "::1"), pause_s=0.01)
    for host in (server, server.replace("localhost", "127.0.0.1"), "[::1]:1"):
        with pytest.raises(FileError, match="public address"):
            fetcher.fetch(f"http://{host}/a")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("192.168.1.1", False),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fd00::1", False),
        ("fe80::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("2002:7f00:1::", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::808:808", True),
    ],
)
def test_what_a_public_address_is(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


def test_only_a_redirect_is_followed_and_hosts_are_named_in_any_case(server: str) -> None:
    assert local("LocalHost").fetch(f"http://{server}/made") == b"content"


def test_a_redirect_is_checked_like_an_address(server: str) -> None:
    assert local("localhost").fetch(f"http://{server}/to?/a") == b"content"
    with pytest.raises(FileError, match="--allow-host"):
        local("localhost").fetch(f"http://{server}/to?http://169.254.169.254/latest")
    with pytest.raises(FileError, match="redirects"):
        local("localhost").fetch(f"http://{server}/to?/to?/to?/to?/to?/to?/a")


def test_a_file_without_an_end_is_cut(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MAX_BYTES", 1 << 20)
    with pytest.raises(FileError, match="larger one"):
        local("localhost").fetch(f"http://{server}/endless")


@pytest.mark.parametrize("path", ["drip", "drip-headers"])
def test_a_server_that_drips_is_left_at_the_deadline(
    server: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "LONGEST_S", 0.5)
    started = time.monotonic()
    with pytest.raises(FileError, match="too slow"):
        local("localhost").fetch(f"http://{server}/{path}")
    assert time.monotonic() - started < 10


def test_no_answer_is_told() -> None:
    with pytest.raises(FileError, match=r"found .*refused|found .*Failed"):
        local("localhost").fetch("http://localhost:9/a")
