import base64
import hmac
import json
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from chat.config import ConfigError, load
from chat.errors import ChatError
from chat.tokens import Claims, Tokens

SECRET = "a secret of the tests, 32 bytes long"
RSA = rsa.generate_private_key(65_537, 2_048)
NOW = int(time.time())
BASE = {"DATABASE_URL": "x", "REDIS_URL": "x", "JWT_SECRET": SECRET}


def public_pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def tokens(**settings):
    return Tokens(load(BASE | settings, environ={}))


def signed(claims, key=SECRET, algorithm="HS256", **headers):
    return jwt.encode(claims, key, algorithm, headers=headers or None)


def forged(header, claims, key=b""):
    """Sign by hand what a library would refuse to sign."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signature = hmac.digest(key, b".".join(parts), sha256) if key else b""
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def outcome(of, token):
    """Return the claims of a token, or the code of its refusal."""
    try:
        return of.read(token)
    except ChatError as error:
        return error.code.name


def refused(of, token):
    with pytest.raises(ChatError) as refusal:
        of.read(token)
    return refusal.value.code.name == "bad_token"


def test_our_token_names_user_and_login():
    ours = tokens()
    claims = ours.read(ours.make("u7", 42, timedelta(minutes=5)))
    assert (claims.user, claims.login_id, claims.external_key) == ("u7", 42, "")
    assert timedelta(minutes=4) < claims.expires_at - datetime.now(UTC) <= timedelta(minutes=5)


def test_our_token_ends():
    ours = tokens(JWT_LEEWAY=0)
    assert refused(ours, ours.make("u7", 42, timedelta(seconds=-1)))


def test_clocks_may_differ_by_the_leeway():
    ours = tokens(JWT_LEEWAY=30)
    assert ours.read(ours.make("u7", 42, timedelta(seconds=-10))).login_id == 42


def test_a_token_of_another_secret_is_bad():
    assert refused(tokens(), tokens(JWT_SECRET="x" * 32).make("u7", 42, timedelta(minutes=5)))


def test_our_claims_without_an_end_are_bad():
    assert refused(tokens(), signed({"iss": "chat", "lid": 42, "sub": "u7"}))


@pytest.mark.parametrize("algorithm", ["none", "None", "HS384", "HS512", "RS256", "", None, 5])
def test_the_algorithm_is_not_the_tokens_to_choose(algorithm):
    claims = {"sub": "u7", "lid": 42, "iss": "chat", "exp": NOW + 3_600}
    for key in (b"", SECRET.encode()):
        assert refused(tokens(), forged({"alg": algorithm, "typ": "JWT"}, claims, key))


@pytest.mark.parametrize("key", [RSA, ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()])
def test_a_public_key_is_never_an_hs256_secret(key):
    pem = public_pem(key)
    host = tokens(JWT_PUBLIC_KEY=pem)
    claims = {"sub": "ann", "exp": NOW + 3_600}
    for secret in (pem, pem.strip(), pem.replace("\n", "")):
        assert refused(host, forged({"alg": "HS256", "typ": "JWT"}, claims, secret.encode()))


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSA, "RS256"),
        (RSA, "PS512"),
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
    ],
)
def test_a_hosts_token_is_read_by_its_public_key(key, algorithm):
    claims = tokens(JWT_PUBLIC_KEY=public_pem(key)).read(signed({"sub": "ann", "exp": NOW + 3_600}, key, algorithm))
    assert (claims.user, claims.login_id) == ("ann", 0)


def test_a_public_key_in_one_line_is_understood():
    pem = public_pem(RSA).replace("\n", "\\n")
    assert tokens(JWT_PUBLIC_KEY=pem).read(signed({"sub": "ann", "exp": NOW + 3_600}, RSA, "RS256")).user == "ann"


def test_a_token_of_another_key_is_bad():
    other = rsa.generate_private_key(65_537, 2_048)
    assert refused(tokens(JWT_PUBLIC_KEY=public_pem(RSA)), signed({"sub": "ann", "exp": NOW + 3_600}, other, "RS256"))


def test_a_key_in_the_tokens_own_header_is_not_taken():
    other = rsa.generate_private_key(65_537, 2_048)
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(other.public_key()))
    token = signed({"sub": "ann", "exp": NOW + 3_600}, other, "RS256", jwk=jwk, jku="https://evil.example/keys")
    assert refused(tokens(JWT_PUBLIC_KEY=public_pem(RSA)), token)


def test_a_host_may_share_the_secret():
    claims = tokens().read(
        signed({"userId": 42, "exp": NOW + 3_600, "name": "Ann", "avatar": "https://x.example/a.png"})
    )
    assert (claims.user, claims.login_id, claims.name, claims.avatar) == ("42", 0, "Ann", "https://x.example/a.png")


@pytest.mark.parametrize(
    ("claims", "user"),
    [
        ({"sub": "a", "userId": "b", "id": "c"}, "a"),
        ({"userId": "b", "id": "c"}, "b"),
        ({"id": 7}, "7"),
        ({"sub": "", "id": "c"}, "c"),
        ({"sub": "not valid/", "userId": "b"}, "b"),
        ({"sub": None, "userId": True, "id": "c"}, "c"),
    ],
)
def test_the_user_is_named_by_the_first_claim_that_can(claims, user):
    assert tokens().read(signed(claims | {"exp": NOW + 3_600})).user == user


def test_the_claim_that_names_the_user_can_be_set():
    host = tokens(JWT_USER_CLAIM="uid")
    assert host.read(signed({"uid": "x", "sub": "y", "exp": NOW + 3_600})).user == "x"
    assert refused(host, signed({"sub": "y", "exp": NOW + 3_600}))


@pytest.mark.parametrize(
    "user", ["", "a b", "a/b", "x" * 65, "me", "a\0", "\ud800", "ü", None, True, [], {"a": 1}, 1.5]
)
def test_what_cannot_be_an_id_names_nobody(user):
    assert refused(tokens(), forged({"alg": "HS256"}, {"sub": user, "exp": NOW + 3_600}, SECRET.encode()))


def test_a_hosts_token_without_an_end_lasts_token_days_from_its_making():
    host = tokens(TOKEN_DAYS=30)
    made = NOW - 86_400 * 29
    assert host.read(signed({"sub": "ann", "iat": made})).expires_at.timestamp() == made + 86_400 * 30
    assert refused(host, signed({"sub": "ann", "iat": NOW - 86_400 * 31}))
    assert refused(host, signed({"sub": "ann"}))


@pytest.mark.parametrize("end", [NOW - 3_600, 0, -1, "soon", [], None, True])
def test_an_end_in_the_past_or_no_time_is_bad(end):
    assert refused(tokens(), forged({"alg": "HS256"}, {"sub": "ann", "exp": end}, SECRET.encode()))


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "1e30", "99999999999999"])
@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
def test_numbers_without_measure_are_no_server_error(claim, number):
    payload = b'{"sub":"ann","%b":%b}' % (claim.encode(), number.encode())
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (b'{"alg":"HS256"}', payload)]
    signature = base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), b".".join(parts), sha256)).rstrip(b"=")
    read = outcome(tokens(), b".".join([*parts, signature]).decode())
    assert read == "bad_token" or read.expires_at < datetime.now(UTC) + timedelta(days=3_651)


def test_issuer_and_audience_are_held_to_the_settings():
    host = tokens(JWT_ISSUER="https://host.example", JWT_AUDIENCE="chat")
    good = {"sub": "ann", "exp": NOW + 3_600, "iss": "https://host.example", "aud": ["other", "chat"]}
    assert host.read(signed(good)).user == "ann"
    assert host.read(signed(good | {"aud": "chat"})).user == "ann"
    assert refused(host, signed(good | {"aud": "other"}))
    assert refused(host, signed(good | {"iss": "https://evil.example"}))
    assert refused(host, signed({"sub": "ann", "exp": NOW + 3_600}))
    assert tokens().read(signed(good)).user == "ann"


def test_a_hosts_token_is_named_by_user_and_jti_or_by_its_hash():
    read = tokens().read
    base = {"sub": "ann", "exp": NOW + 3_600}
    assert (
        read(signed(base | {"jti": "1"})).external_key
        == read(signed(base | {"jti": "1", "exp": NOW + 3_690})).external_key
    )
    assert (
        read(signed(base | {"jti": "1"})).external_key != read(signed(base | {"jti": "1", "sub": "bob"})).external_key
    )
    assert read(signed(base)).external_key != read(signed(base | {"exp": NOW + 3_661})).external_key
    assert read(signed(base)).external_key.startswith("token:")


@pytest.mark.parametrize(
    "token", ["", ".", "..", "null", "a.b.c", "用户token", "\ud800", "a" * 100_000, "\0", "e30.e30.e30"]
)
def test_odd_texts_are_bad_tokens(token):
    assert refused(tokens(), token)


@given(st.text())
def test_any_text_is_at_most_a_bad_token(text):
    assert refused(TOKENS, text)


@given(
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jku"]),
        JSON := st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=5,
        ),
    ),
    st.dictionaries(st.sampled_from(["sub", "exp", "iat", "nbf", "jti", "lid", "iss", "aud", "name", "avatar"]), JSON),
)
def test_any_signed_content_is_read_or_a_bad_token(header, claims):
    token = forged({"alg": "HS256"} | header, claims, SECRET.encode())
    read = outcome(TOKENS, token)
    assert read == "bad_token" or isinstance(read, Claims)


TOKENS = tokens(JWT_PUBLIC_KEY=public_pem(RSA))


def test_the_private_half_of_a_key_is_refused_as_a_setting():
    private = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(ConfigError, match="JWT_PUBLIC_KEY"):
        tokens(JWT_PUBLIC_KEY=private)
