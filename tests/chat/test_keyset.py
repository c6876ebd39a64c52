import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from chat import keyset
from chat.config import ConfigError, load
from chat.errors import ChatError
from chat.keyset import KeySet
from chat.tokens import Tokens
from tests.chat.world import NUMBERS

ONE, TWO = (rsa.generate_private_key(65_537, 2_048) for _ in range(2))
CURVE = ec.generate_private_key(ec.SECP256R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()


def jwk(key, kid, **more):
    algorithm = {rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm, ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm}
    made = next((of for kind, of in algorithm.items() if isinstance(key, kind)), jwt.algorithms.OKPAlgorithm)
    return json.loads(made.to_jwk(key.public_key())) | {"kid": kid} | more


class Host:
    """A host application that publishes keys. `asked` counts the requests."""

    def __init__(self):
        host = self
        self.keys, self.asked, self.status = [], 0, 200

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                host.asked += 1
                body = host.keys if isinstance(host.keys, bytes) else json.dumps({"keys": host.keys}).encode()
                self.send_response(host.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"


@pytest.fixture
def host():
    made = Host()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def clock(monkeypatch):
    now = [1_000.0]
    monkeypatch.setattr(keyset, "monotonic", lambda: now[0])
    return now


def reads(of, key, kid, algorithm="RS256"):
    headers = {"kid": kid} if kid else None
    # Each a token of its own, for one that was read is believed for a while.
    claims = {"sub": "ann", "exp": int(time.time()) + 60, "jti": str(next(NUMBERS))}
    token = jwt.encode(claims, key, algorithm, headers=headers)
    try:
        return of.read(token).user == "ann"
    except ChatError as error:
        return {"bad_token": False}[error.code.name]


def tokens(url, **more):
    secret = "a secret of the tests, 32 bytes long"
    return Tokens(
        load({"DATABASE_URL": "x", "REDIS_URL": "x", "JWT_SECRET": secret, "JWT_JWKS_URL": url} | more, environ={})
    )


def test_a_key_is_found_by_its_name_and_fetched_once(host, clock):
    host.keys = [jwk(ONE, "1"), jwk(TWO, "2")]
    of = tokens(host.url)
    assert reads(of, ONE, "1")
    assert reads(of, TWO, "2")
    assert not reads(of, ONE, "2")
    assert host.asked == 1


def test_keys_of_all_kinds_are_taken_with_their_own_algorithms(host, clock):
    host.keys = [jwk(ONE, "1"), jwk(CURVE, "2"), jwk(EDWARDS, "3")]
    of = tokens(host.url)
    assert reads(of, CURVE, "2", "ES256")
    assert reads(of, EDWARDS, "3", "EdDSA")
    assert not reads(of, ONE, "3", "RS256")


def test_a_token_without_key_name_is_tried_with_every_key(host, clock):
    host.keys = [jwk(ONE, "1"), jwk(TWO, None)]
    assert reads(tokens(host.url), ONE, None)
    assert reads(tokens(host.url), TWO, None)


def test_an_unknown_name_fetches_again_but_not_more_often_than_every_pause(host, clock):
    host.keys = [jwk(ONE, "1")]
    of = tokens(host.url)
    assert reads(of, ONE, "1")
    host.keys.append(jwk(TWO, "2"))
    assert not reads(of, TWO, "2")
    clock[0] += keyset.PAUSE + 1
    assert reads(of, TWO, "2")
    for number in range(20):
        assert not reads(of, ONE, f"made up {number}")
    assert host.asked == 2


def test_keys_are_looked_at_anew_after_a_while_and_a_withdrawn_one_is_gone(host, clock):
    host.keys = [jwk(ONE, "1")]
    of = tokens(host.url)
    assert reads(of, ONE, "1")
    host.keys = [jwk(TWO, "2")]
    clock[0] += keyset.KEPT + 1
    assert not reads(of, ONE, "1")
    assert reads(of, TWO, "2")


@pytest.mark.parametrize("broken", [b"", b"no json", b"[]", b'{"keys": 5}', b'{"keys":[5,null,{}]}'])
def test_a_host_that_is_away_or_talks_nonsense_costs_no_known_key_but_lets_nobody_in(host, clock, broken):
    host.keys = broken
    of = tokens(host.url)
    assert not reads(of, ONE, "1")
    host.keys = [jwk(ONE, "1")]
    clock[0] += keyset.PAUSE + 1
    assert reads(of, ONE, "1")
    host.status = 500
    clock[0] += keyset.KEPT + 1
    assert reads(of, ONE, "1")


def test_a_set_beyond_measure_is_not_read(host, clock):
    host.keys = b'{"keys":[' + b" " * keyset.BYTES + b"]}"
    assert not reads(tokens(host.url), ONE, "1")


def test_secrets_and_keys_for_encryption_are_left_out(host, clock):
    secret = {"kty": "oct", "k": "c2VjcmV0" * 6, "kid": "s", "alg": "HS256"}
    host.keys = [secret, jwk(ONE, "1", use="enc"), jwk(TWO, "2", use="sig")]
    of = tokens(host.url)
    assert not reads(of, b"secret" * 6, "s", "HS256")
    assert not reads(of, ONE, "1")
    assert reads(of, TWO, "2")


def test_only_the_web_is_asked_for_keys(clock, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(json.dumps({"keys": [jwk(ONE, "1")]}))
    assert not reads(tokens(f"file://{keys}"), ONE, "1")


def test_no_setting_means_no_key():
    assert KeySet("", "").named("1") == []


def test_what_is_no_public_key_is_refused_at_the_start():
    with pytest.raises(ConfigError, match="JWT_PUBLIC_KEY"):
        KeySet("no key", "")
