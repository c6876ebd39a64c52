"""Pictures that lie in a bucket: the page shows them from there, and its policy lets it."""

from collections.abc import Callable

from tests.browser.conftest import MakePerson
from tests.browser.pictures import photo
from tests.browser.test_pictures import talking
from tests.bucket import Bucket
from tests.deployment import Web


def test_a_picture_comes_from_the_bucket(person: MakePerson, servers: Callable[..., Web], bucket: Bucket) -> None:
    ada, bo = talking(person, url=servers(STORAGE_URL=bucket.url, STORAGE_PUBLIC_URL="").url)
    asked: list[str] = []
    bo.page.on("request", lambda request: request.url.startswith(bucket.endpoint) and asked.append(request.url))
    ada.shows(photo(800, 600))
    bo.sees_pictures(1)
    ada.sees_pictures(1)
    paths = {address.partition("?")[0] for address in asked}
    assert [path.rpartition("/")[0] for path in paths] == [f"{bucket.endpoint}/{bucket.name}/thumbnails"]
    bo.page.reload()
    bo.sees_pictures(1)
    assert {address.partition("?")[0] for address in asked} == paths
