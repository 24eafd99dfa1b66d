"""Fetches images from the web, from named hosts only and never from inside a private network.

Addresses in a table are a stranger's. Without care they make the machine that reads them ask its own network:
metadata services, routers, databases (server-side request forgery).
"""

import ipaddress
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import urllib3
import urllib3.util

from pellucid.data.deadlines import Deadline
from pellucid.data.ingest.references import MAX_BYTES
from pellucid.errors import FileError, first_line

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
TIMEOUT_S = 20.0
LONGEST_S = 120.0
"""A server that sends a byte a second never times out; this ends it."""
REDIRECTS = 4
REDIRECTING = (301, 302, 303, 307, 308)
ATTEMPTS = 3
"""For what may pass: no connection, 429, and 5xx."""
BLOCK = 1 << 16


def is_public(address: Address) -> bool:
    """Tells whether an address is reachable from everywhere: not private, local, reserved or multicast."""
    inner = None
    if isinstance(address, ipaddress.IPv6Address):
        # addresses that a gateway turns into an IPv4 one, which may be private
        translated = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in NAT64 else None
        inner = address.ipv4_mapped or address.sixtofour or translated
    return (inner or address).is_global and not address.is_multicast


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """Fetches over http and https from hosts that somebody named."""

    hosts: tuple[str, ...] = ()
    """Names of hosts; ".example.org" stands for all below example.org."""
    permitted: Callable[[Address], bool] = is_public
    """Decides on each address that a host's name resolves to."""
    pause_s: float = 1.0
    """Before the second attempt; it doubles."""

    def fetch(self, url: str) -> bytes:
        """Fetches a file, following redirects as long as each is allowed itself.

        Raises:
            FileError: the host is not named, resolves to a private address, or does not answer; or the file
                is larger than `MAX_BYTES`.
        """
        status, content = 0, b"no answer"
        with Deadline(LONGEST_S) as deadline:
            for attempt in range(ATTEMPTS):
                if attempt:
                    time.sleep(self.pause_s * 2 ** (attempt - 1))
                status, content = self._follow(url, deadline)
                # first: content that was cut off may look whole
                if deadline.passed:
                    raise FileError(
                        f"Expected {url} within {LONGEST_S:.0f} s, found it too slow. Fetch it yourself."
                    )
                if status == 200:
                    return content
                if status not in (429, 500, 502, 503, 504, 0):
                    break
        raise FileError(f"Expected a file at {url}, found {_status(status, content)}. Check the address.")

    def _follow(self, url: str, deadline: Deadline) -> tuple[int, bytes]:
        for _ in range(REDIRECTS + 1):
            status, content = self._request(url, deadline)
            if status not in REDIRECTING:
                return status, content
            url = urljoin(url, content.decode("utf-8", "replace"))
        raise FileError(f"Expected at most {REDIRECTS} redirects, found more at {url}. Leave it out.")

    def _request(self, url: str, deadline: Deadline) -> tuple[int, bytes]:
        """Returns status and content; of a redirect its target, of a failed connection 0 and the reason."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        # before any look-up: asking a stranger's name server already tells who is asking
        if parts.scheme not in ("http", "https") or not self._is_named(host):
            allowed = ", ".join(self.hosts) or "a host that you allow"
            raise FileError(
                f"Expected an address on {allowed}, found {url or 'none'}. "
                "Name its host with --allow-host, if you trust it."
            )
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            with deadline.watch(self._pool(parts.scheme, host, port)) as pool:
                path = urllib3.util.parse_url(url).request_uri
                # the connection goes to an address, so the name that was asked for is said in the header
                response = pool.request(
                    "GET", path, headers={"Host": parts.netloc}, redirect=False, preload_content=False
                )
                location = response.headers.get("Location")
                if location and response.status in REDIRECTING:
                    return response.status, location.encode()
                return response.status, _read(response, url)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if isinstance(error, FileError):
                raise
            return 0, first_line(error).encode()

    def _is_named(self, host: str) -> bool:
        return any(
            host == name or (name.startswith(".") and f".{host}".endswith(name))
            # `urlsplit` writes hosts small
            for name in map(str.lower, self.hosts)
        )

    def _pool(self, scheme: str, host: str, port: int) -> urllib3.HTTPConnectionPool:
        """Connects to the very address that was checked: a second look-up may give another one."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        # all of them: a name with one public and one private address is a known way in
        if not all(self.permitted(address) for address in addresses):
            raise FileError(
                f"Expected a public address behind {host}, found {addresses[0]}. Private networks are never "
                "asked; fetch such files yourself."
            )
        timeout = urllib3.Timeout(connect=TIMEOUT_S, read=TIMEOUT_S)
        if scheme == "https":
            return urllib3.HTTPSConnectionPool(
                str(addresses[0]),
                port,
                timeout=timeout,
                retries=False,
                server_hostname=host,
                assert_hostname=host,
            )
        return urllib3.HTTPConnectionPool(str(addresses[0]), port, timeout=timeout, retries=False)


def _read(response: urllib3.BaseHTTPResponse, url: str) -> bytes:
    content = bytearray()
    # counted while reading, because a server may claim any length, or none
    for block in response.stream(BLOCK):
        content += block
        if len(content) > MAX_BYTES:
            raise FileError(
                f"Expected an image file of at most {MAX_BYTES >> 20} MB, found a larger one at {url}. "
                "Leave it out."
            )
    return bytes(content)


def _status(status: int, content: bytes) -> str:
    return f"status {status}" if status else content.decode("utf-8", "replace")
