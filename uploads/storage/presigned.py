"""Addresses of a bucket that open one file for everybody for a while: AWS Signature Version 4 in the query. Pure.

By hand and not by botocore, whose addresses begin to be good at the second in which they are made: a browser that asks
twice would get two, and load the file twice. Here the moment is told.
"""

import hmac
import time
from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import quote

from chat.storage_address import StorageAddress

__all__ = ["presigned"]

ALGORITHM = "AWS4-HMAC-SHA256"
OVERRIDES = ("Content-Type", "Content-Disposition", "Cache-Control")  # headers that an address may ask for


def presigned(address: StorageAddress, key: str, headers: Mapping[str, str], moment: int, seconds: int) -> str:
    """Return the address that answers GET with a file and these headers, from a moment (since 1970) for so long."""
    path = f"/{address.prefix}{key}" if address.virtual else f"/{address.bucket}/{address.prefix}{key}"
    path = quote(path, safe="/-_.~")
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))
    scope = f"{stamp[:8]}/{address.region}/s3/aws4_request"
    values = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{address.key_id}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": "host",
        **{f"response-{name.lower()}": headers[name] for name in OVERRIDES if name in headers},
    }
    query = "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(values.items())
    )
    host = address.origin.partition("://")[2]
    request = f"GET\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
    to_sign = f"{ALGORITHM}\n{stamp}\n{scope}\n{sha256(request.encode()).hexdigest()}"
    return f"{address.origin}{path}?{query}&X-Amz-Signature={_signature(address.secret, scope, to_sign)}"


def _signature(secret: str, scope: str, to_sign: str) -> str:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), sha256)
    return hmac.digest(key, to_sign.encode(), sha256).hex()
