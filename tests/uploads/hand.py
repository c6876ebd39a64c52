"""A hand that uploads and downloads over HTTP, for real servers."""

from typing import Any

import requests

from tests.clients.person import PATIENCE, Person, Refused

__all__ = ["download", "post", "status", "upload"]


def post(person: Person, data: bytes, name: str = "a.jpg", field: str = "media") -> requests.Response:
    """Upload a file and return the answer."""
    return requests.post(
        f"{person.url}/api/v1/uploads",
        headers={"Authorization": f"Bearer {person.token}"},
        files={field: (name, data)},
        timeout=PATIENCE,
    )


def upload(person: Person, data: bytes, name: str = "a.jpg") -> dict[str, Any]:
    """Upload a file and return its media. Raises Refused."""
    answer = post(person, data, name)
    if not answer.ok:
        raise Refused(answer.json()["error"])
    assert answer.status_code == 201
    return answer.json()  # type: ignore[no-any-return]


def download(
    person: Person, address: str, *, token: bool = False, method: str = "GET", **headers: str
) -> requests.Response:
    """Fetch an address of media; with `token` as this person, without its signature."""
    if token:
        headers["Authorization"] = f"Bearer {person.token}"
        address = address.partition("?")[0]
    return requests.request(method, person.url + address, headers=headers, timeout=PATIENCE)


def status(person: Person, address: str) -> int:
    """Return how a bare address answers this person."""
    return download(person, address, token=True).status_code
