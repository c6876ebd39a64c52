"""Access tokens as a host application would mint them, each a login of its own."""

import time
import uuid

import jwt

__all__ = ["mint"]

LIFE = 3600  # seconds; longer than any row


def mint(secret: str, user: str) -> str:
    """An HS256 token for this user."""
    now = int(time.time())
    return jwt.encode({"sub": user, "iat": now, "exp": now + LIFE, "jti": uuid.uuid4().hex}, secret, algorithm="HS256")
