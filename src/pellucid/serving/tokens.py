"""Secrets by which callers are known: made once, shown once, kept as a hash."""

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass

from sqlalchemy import select, update

from pellucid.errors import InputError
from pellucid.files.databases import reading, writing
from pellucid.serving.store import JobStore
from pellucid.serving.tables import Token

PREFIX = "plc-"
"""By which scanners find a token that was published by mistake."""


@dataclass(frozen=True, slots=True)
class TokenStore:
    """The tokens of a server's store."""

    store: JobStore

    def new(self, name: str) -> str:
        """Makes a token and returns it; nothing can show it again.

        Raises:
            InputError: the name is taken, or is none.
        """
        if not name.strip() or len(name) > 80:
            raise InputError(f"Expected a name of 1 to 80 characters, found {name!r:.90}. Name who uses it.")
        secret = PREFIX + secrets.token_urlsafe(32)
        with writing(self.store.engine) as session:
            if session.get(Token, name) is not None:
                raise InputError(f"Expected a new name, found a token called {name!r}. Choose another.")
            session.add(Token(name=name, digest=_digest(secret), created_at=time.time(), revoked_at=None))
        return secret

    def all(self) -> list[Token]:
        """Returns all tokens, the oldest first, revoked ones too."""
        with reading(self.store.engine) as session:
            return list(session.scalars(select(Token).order_by(Token.created_at)))

    def revoke(self, name: str) -> None:
        """Makes a token worthless from the next request on.

        Raises:
            InputError: none is called so, or it was revoked before.
        """
        valid = (Token.name == name, Token.revoked_at.is_(None))
        with writing(self.store.engine) as session:
            if session.scalar(select(Token).where(*valid)) is None:
                raise InputError(
                    f"Expected a valid token's name, found {name!r}. See `pellucid serve tokens list`."
                )
            session.execute(update(Token).where(*valid).values(revoked_at=time.time()))

    def owner(self, secret: str) -> str | None:
        """Returns whose token a secret is; None where it is nobody's.

        All are compared, each in constant time, so that an answer's delay tells nothing.
        """
        digest, found = _digest(secret), None
        for token in self.all():
            if hmac.compare_digest(token.digest, digest) and token.revoked_at is None:
                found = token.name
        return found


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
