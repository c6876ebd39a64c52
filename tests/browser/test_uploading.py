"""A picture on its way: seen at once, with its progress; cancelled, tried again, kept over breaks; never sent twice."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import CDPSession, Route, WebSocketRoute, expect

from tests.browser.conftest import MakePerson
from tests.browser.person import Person
from tests.browser.pictures import animation, file, photo, picture
from tests.browser.test_line import Proxy, asks_again
from tests.browser.test_pictures import talking
from tests.deployment import Web

SLOW = 150_000  # bytes a second
UPLOADS = re.compile(r"/api/v1/uploads$")
PENDING = "JSON.parse(sessionStorage.getItem('chat.outbox')).pending"


class Network:
    """The network of one tab, as slow as it is told."""

    def __init__(self, one: Person):
        self._session: CDPSession = one.context.new_cdp_session(one.page)

    def slow(self, bytes_a_second: int) -> None:
        """Let what is sent take its time; -1: as fast as it can."""
        conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_a_second}
        self._session.send("Network.emulateNetworkConditions", conditions)


def uploads_of(one: Person) -> list[str]:
    """Return a list that grows with every upload that this tab begins."""
    begun: list[str] = []
    one.page.on("request", lambda request: UPLOADS.search(request.url) and begun.append(request.url))
    return begun


def test_a_picture_stands_there_at_once_tells_its_progress_and_stays_where_it_is(person: MakePerson) -> None:
    ada, bo = talking(person)
    Network(ada).slow(SLOW)
    ada.shows(photo(400, 300))
    expect(ada.pictures).to_have_attribute("data-state", "shown")
    bar = ada.page.get_by_role("progressbar", name="Uploading")
    expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^[1-9]\d?$"))
    ada.page.evaluate("document.querySelector('.message:has(.picture)').marked = true")
    place = "(() => { const {x, y, width, height} = document.querySelector('.picture').getBoundingClientRect();"
    before = ada.page.evaluate(place + "return [x, y, width, height]; })()")
    assert bo.pictures.count() == 0
    bo.sees_pictures(1)
    ada.sees_pictures(1)
    expect(bar).to_have_count(0)
    assert ada.page.evaluate("document.querySelector('.message:has(.picture)').marked") is True
    assert ada.page.evaluate(place + "return [x, y, width, height]; })()") == before


def test_an_upload_is_cancelled_and_nothing_of_it_is_sent(person: MakePerson) -> None:
    ada, bo = talking(person)
    network = Network(ada)
    network.slow(20_000)
    ada.shows(photo(400, 300), caption="not this")
    with ada.page.expect_event("requestfailed"):
        ada.page.get_by_role("button", name="Cancel the upload").click()
    expect(ada.pictures).to_have_count(0)
    network.slow(-1)
    ada.shows(picture(), caption="this")
    for one in ada, bo:
        one.sees_pictures(1)
        one.sees("hi", "this")


def test_texts_go_past_a_slow_picture(person: MakePerson) -> None:
    ada, bo = talking(person)
    Network(ada).slow(SLOW)
    ada.shows(photo(400, 300), caption="slow")
    ada.say("quick")
    bo.sees("hi", "quick")
    bo.sees("hi", "quick", "slow")
    ada.sees("hi", "quick", "slow")


def test_a_refusal_tells_the_servers_reason_and_what_may_be_tried_again_is(person: MakePerson) -> None:
    ada, bo = talking(person)
    refusal = '{"error": {"code": "forbidden", "message": "You may not do that."}}'
    ada.page.route(UPLOADS, lambda route: route.fulfill(status=403, body=refusal))
    ada.shows(picture(), caption="again")
    failed = ada.page.locator(".message.failed")
    expect(failed.get_by_role("alert")).to_have_text("Not sent: you may not do that")
    expect(failed.locator(".picture")).to_be_visible()
    ada.page.unroute_all()
    failed.get_by_role("button", name="Try again").click()
    for one in ada, bo:
        one.sees_pictures(1)
        one.sees("hi", "again")


def test_a_broken_picture_is_refused_by_the_server_and_can_be_thrown_away(person: MakePerson) -> None:
    ada, bo = talking(person)
    whole = picture()
    cut = file(whole["buffer"][: len(whole["buffer"]) // 2], "cut.png", "image/png")
    ada.shows(cut)
    failed = ada.page.locator(".message.failed")
    expect(failed.get_by_role("alert")).to_have_text("Not sent: this kind of file is not taken here")
    expect(failed.get_by_role("button", name="Try again")).to_have_count(0)
    failed.get_by_role("button", name="Discard").click()
    for one in ada, bo:
        one.sees("hi")


def test_limits_that_the_page_did_not_know_are_told_by_the_server(
    person: MakePerson, servers: Callable[..., Web]
) -> None:
    web = servers(UPLOAD_BYTES=51_200, IMAGE_PIXELS=2_000_000)
    ada = person("Ada", registered=False, url=web.url)
    ada.context.route_web_socket("**/ws", pass_on_without_limits)
    ada.page.reload()
    ada.register()
    bo = person("Bo", url=web.url)
    ada.find(bo)
    for sent, reason in (
        (file(bytes(200_000), "much.bin", ""), "at most 50 kB can be sent"),
        (picture(2_000, 1_001), "the picture has more than 2 million pixels"),
    ):
        ada.shows(sent)
        failed = ada.page.locator(".message.failed")
        expect(failed.get_by_role("alert")).to_have_text(f"Not sent: {reason}")
        failed.get_by_role("button", name="Discard").click()


def test_a_file_of_more_bytes_than_it_may_have_pixels_is_refused_for_its_pixels(
    person: MakePerson, servers: Callable[..., Web]
) -> None:
    web = servers(IMAGE_PIXELS=12_000_000)  # of which what moves may have a twelfth
    ada, bo = (person(name, url=web.url) for name in ("Ada", "Bo"))
    ada.find(bo)
    sent = animation(1_000, 1_001)
    assert len(sent["buffer"]) > 1_001_000
    ada.shows(sent)
    alert = ada.page.locator(".message.failed").get_by_role("alert")
    expect(alert).to_have_text("Not sent: the picture has more than 1 million pixels")


def pass_on_without_limits(route: WebSocketRoute) -> None:
    server = route.connect_to_server()
    server.on_message(lambda message: route.send(str(message).replace('"limits"', '"unlimited"')))


def test_what_is_sent_offline_waits_with_its_preview_and_goes_once_the_line_is_back(person: MakePerson) -> None:
    ada, bo = talking(person)
    ada.context.set_offline(True)
    asks_again(ada)
    expect(ada.page.locator(".banner")).to_be_visible()
    ada.shows(picture(), picture(), caption="from the train")
    expect(ada.page.locator(".message.sending .picture[data-state=shown]")).to_have_count(2)
    ada.context.set_offline(False)
    asks_again(ada)
    for one in ada, bo:
        one.sees_pictures(2)
        expect(one.texts).to_have_text(["hi", "", "from the train"])


def test_an_upload_that_breaks_off_is_made_once_more_by_itself(person: MakePerson) -> None:
    ada, bo = talking(person)
    broken: list[str] = []

    def break_off(route: Route) -> None:
        if len(broken) == 2:
            return route.continue_()
        broken.append(route.request.url)
        return route.abort("connectionreset")

    ada.page.route(UPLOADS, break_off)
    ada.shows(picture())
    for one in ada, bo:
        one.sees_pictures(1)
    assert len(broken) == 2


def test_a_reload_before_the_upload_keeps_the_picture_and_sends_it_once(person: MakePerson) -> None:
    ada, bo = talking(person)
    ada.page.route(UPLOADS, lambda route: route.abort())
    ada.shows(picture(200, 100), caption="kept")
    expect(ada.pictures).to_have_attribute("data-state", "shown")
    ada.page.wait_for_function(
        """() => new Promise(resolve => {
            const opened = indexedDB.open('chat', 1);
            opened.onsuccess = () => {
                const asked = opened.result.transaction('files').objectStore('files').count();
                asked.onsuccess = () => { opened.result.close(); resolve(asked.result === 1); };
            };
        })"""
    )
    ada.page.reload()
    ada.inside()
    expect(ada.page.locator(".message.sending .picture[data-state=shown]")).to_have_count(1)
    ada.page.unroute_all()
    for one in ada, bo:
        one.sees_pictures(1)
        one.sees("hi", "kept")
        assert one.pictures.locator("img").evaluate("node => node.naturalWidth") == 200


@pytest.fixture
def by_poll(person: MakePerson) -> tuple[Person, Person]:
    """Two people, the first of whom sends by REST, so that a single send can be held back."""
    ada = person("Ada", registered=False)
    Proxy(ada).block()
    ada.register().live("longpoll")
    bo = person("Bo")
    ada.find(bo)
    ada.say("hi")
    bo.open(ada.name)
    bo.sees("hi")
    return ada, bo


def test_a_reload_after_the_upload_sends_the_same_upload_and_no_second_one(by_poll: tuple[Person, Person]) -> None:
    ada, bo = by_poll
    swallowed: list[str] = []

    def swallow(route: Route) -> None:
        route.fetch()  # the server has it, and nobody hears
        swallowed.append(route.request.url)
        route.abort()

    ada.page.route("**/messages", swallow)
    ada.shows(picture(), caption="once")
    bo.sees_pictures(1)
    assert swallowed
    assert ada.page.evaluate(f"{PENDING}[0].media.id")
    begun = uploads_of(ada)
    ada.page.unroute_all()
    ada.page.reload()
    ada.inside()
    for one in ada, bo:
        one.sees_pictures(1)
        one.sees("hi", "once")
    assert ada.page.evaluate(PENDING) == []
    assert begun == []


def test_a_file_that_the_page_has_lost_is_said_to_be_lost(person: MakePerson) -> None:
    ada, _ = talking(person)
    ada.page.route(UPLOADS, lambda route: route.abort())
    ada.shows(picture())
    expect(ada.page.locator(".message.sending")).to_have_count(1)
    ada.context.add_init_script("Object.defineProperty(window, 'indexedDB', {value: undefined})")
    ada.page.reload()
    ada.inside()
    failed = ada.page.locator(".message.failed")
    expect(failed.get_by_role("alert")).to_contain_text("the file is no longer on this page")
    failed.get_by_role("button", name="Discard").click()
    ada.sees("hi")
