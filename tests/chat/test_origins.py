import pytest

from chat.origins import DEVELOPMENT, allowed, cors_headers, named, patterns_of, preflight_headers

HOST = "chat.example"


@pytest.mark.parametrize("origin", [None, "", "https://chat.example", "http://chat.example", "HTTPS://Chat.Example"])
def test_no_origin_and_the_own_one_pass(origin):
    assert allowed(origin, HOST, ())


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://chat.example:8443", "https://chat.example.evil"]
)
def test_all_others_fail_in_production(origin):
    assert not allowed(origin, HOST, patterns_of({"CORS_ORIGINS": (), "ENVIRONMENT": "production"}))


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "http://localhost:5173",
        "https://localhost:1",
        "http://127.0.0.1:80",
        "http://[::1]:9000",
        "http://10.1.2.3:8080",
        "http://172.31.0.1",
        "http://192.168.255.255:3000",
    ],
)
def test_development_lets_localhost_and_private_networks_in(origin):
    assert allowed(origin, HOST, patterns_of({"CORS_ORIGINS": (), "ENVIRONMENT": "development"}))


@pytest.mark.parametrize(
    "origin",
    [
        "http://172.32.0.1",
        "http://10.evil.example",
        "http://192.168.1.1.evil.example",
        "http://localhost.evil.example",
        "http://evil.example:80/http://localhost",
        "http://user@localhost",
        "http://localhost@evil.example",
        "http://[::2]",
    ],
)
def test_development_lets_nobody_else_in(origin):
    assert not allowed(origin, HOST, DEVELOPMENT)


@pytest.mark.parametrize(
    ("pattern", "origin", "expected"),
    [
        ("https://*.example.com", "https://a.example.com", True),
        ("https://*.example.com", "https://a.b.example.com", True),
        ("https://*.example.com", "https://example.com", False),
        ("https://*.example.com", "http://a.example.com", False),
        ("https://*.example.com", "https://a.example.com:444", False),
        ("https://*.example.com", "https://a.example.com:443", True),
        ("https://*.example.com", "https://a.example.com.evil", False),
        ("https://*.example.com", "https://evil/.example.com", False),
        ("https://a.example:*", "https://a.example:81", True),
        ("https://a.example:81", "https://a.example", False),
        ("https://a.example", "https://A.example", True),
        ("http://a.b", "http://axb", False),
        ("*://a.example", "https://a.example", True),
        ("null", "null", True),
        ("nonsense", "https://nonsense", False),
        ("http://300.1.1.1/8", "http://300.1.1.1", False),
        ("https://a.example", "https://a.example:99999", False),
        ("https://a.example", "https://a.example:x", False),
        ("https://a.example", "https://[", False),
        ("https://a.example", "https://a.example?x", False),
    ],
)
def test_patterns(pattern, origin, expected):
    assert allowed(origin, HOST, (pattern,)) is expected


def test_a_cookie_is_believed_only_from_origins_without_wildcard():
    patterns = ("https://app.example", "https://*.example.com", *DEVELOPMENT)
    assert named("https://app.example", HOST, patterns)
    assert named("https://chat.example", HOST, patterns)
    assert not named("https://a.example.com", HOST, patterns)
    assert not named("http://localhost:3000", HOST, patterns)
    assert not named("http://10.0.0.0", HOST, ("http://10.0.0.0/8",))


def test_an_origin_is_echoed_with_credentials_and_never_a_star():
    headers = cors_headers("http://localhost:3000", HOST, DEVELOPMENT)
    assert ("Vary", "Origin") in headers
    assert ("Access-Control-Allow-Origin", "http://localhost:3000") in headers
    assert ("Access-Control-Allow-Credentials", "true") in headers


@pytest.mark.parametrize("origin", [None, "https://evil.example"])
def test_who_may_not_call_gets_vary_alone(origin):
    assert cors_headers(origin, HOST, DEVELOPMENT) == [("Vary", "Origin")]


def test_a_preflight_names_methods_and_headers_and_holds_ten_minutes():
    headers = dict(preflight_headers())
    assert headers["Access-Control-Max-Age"] == "600"
    assert "PATCH" in headers["Access-Control-Allow-Methods"]
    assert "Chat-Session" in headers["Access-Control-Allow-Headers"].split(", ")
    assert {"Authorization", "Content-Type", "Idempotency-Key", "Upload-Offset"} <= set(
        headers["Access-Control-Allow-Headers"].split(", ")
    )
