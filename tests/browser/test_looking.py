"""Pictures looked at: in full size, by keyboard, on a phone; when their address has expired; as thumbnails come."""

import io
import re
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Route, expect

from tests.browser.conftest import MakePerson
from tests.browser.person import Person, writes
from tests.browser.pictures import picture
from tests.browser.test_pictures import talking
from tests.browser.test_screen import NAMELESS, PHONE
from tests.deployment import Deployment, Web
from tests.tasks.crew import Crew

SERVED = re.compile(r"/uploads/images/")
THUMBNAIL = re.compile(r"/thumbnails/")
WORKER_STARTS = 60_000  # ms
WIDE = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"


def whole(one: Person, width: int) -> None:
    """Wait until the picture in full size is there."""
    shown = "width => document.querySelector('.lightbox[data-state=shown] img')?.naturalWidth === width"
    one.page.wait_for_function(shown, arg=width)


def test_a_picture_is_looked_at_in_full_size_and_the_focus_comes_back(person: MakePerson) -> None:
    ada, bo = talking(person)
    ada.shows(picture(900, 600), picture(800, 1000), picture(1200, 300), caption="the last")
    bo.sees_pictures(3)
    bo.pictures.nth(1).focus()
    bo.page.keyboard.press("Enter")
    dialog = bo.page.get_by_role("dialog", name="Photo")
    expect(dialog).to_be_visible()
    whole(bo, 800)
    assert bo.page.evaluate(NAMELESS) == []
    bo.page.keyboard.press("ArrowRight")
    whole(bo, 1200)
    expect(dialog.locator(".lightbox-caption")).to_have_text("the last")
    expect(dialog.get_by_role("button", name="Newer photo")).to_have_attribute("aria-disabled", "true")
    bo.page.keyboard.press("ArrowRight")
    for width in 800, 900:
        bo.page.keyboard.press("ArrowLeft")
        whole(bo, width)
    bo.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(bo.pictures.nth(1)).to_be_focused()


def test_a_picture_is_enlarged_to_its_size_and_saved(person: MakePerson) -> None:
    ada, bo = talking(person)
    ada.shows(picture(2600, 1700))
    bo.sees_pictures(1)
    bo.pictures.click()
    whole(bo, 2600)
    image = bo.page.locator(".lightbox-stage img")
    fitting = image.bounding_box()
    assert fitting
    assert fitting["width"] < 1300
    bo.page.get_by_role("button", name="Actual size").click()
    enlarged = image.bounding_box()
    assert enlarged
    assert enlarged["width"] == 2600
    with bo.page.expect_download() as saved:
        bo.page.get_by_role("link", name="Download").click()
    assert Image.open(io.BytesIO(saved.value.path().read_bytes())).size == (2600, 1700)


def test_older_pictures_are_read_from_history_when_one_steps_back_to_them(person: MakePerson) -> None:
    ada, bo = talking(person)
    ada.shows(picture(500, 400))
    ada.sees_pictures(1)
    writes(ada, bo, [str(number) for number in range(60)])
    ada.shows(picture(600, 400))
    bo.page.reload()
    expect(bo.texts.last).to_be_attached()
    bo.page.evaluate("document.querySelector('.scroller').scrollTop = 1e6")
    expect(bo.pictures.last).to_have_attribute("data-state", "shown")
    bo.pictures.last.click()
    whole(bo, 600)
    bo.page.keyboard.press("ArrowLeft")
    whole(bo, 500)


def test_an_address_that_has_expired_is_asked_for_anew_once(person: MakePerson) -> None:
    ada, bo = talking(person)
    refused: list[str] = []
    asked: list[str] = []

    def refuse_first(route: Route) -> None:
        if refused:
            return route.continue_()
        refused.append(route.request.url)
        return route.fulfill(status=403)

    bo.page.on("request", lambda request: "/messages?" in request.url and asked.append(request.url))
    bo.page.route(SERVED, refuse_first)
    ada.shows(picture())
    bo.sees_pictures(1)
    assert len(refused) == len(asked) == 1


def test_a_picture_that_cannot_be_loaded_says_so_and_is_tried_again_when_pressed(person: MakePerson) -> None:
    ada, bo = talking(person)
    asked: list[str] = []
    bo.page.on("request", lambda request: "/messages?" in request.url and asked.append(request.url))
    bo.page.route(SERVED, lambda route: route.fulfill(status=404))
    ada.shows(picture())
    expect(bo.pictures).to_have_text("This photo could not be loaded.")
    assert len(asked) == 1
    bo.page.unroute_all()
    bo.pictures.click()
    bo.sees_pictures(1)
    expect(bo.pictures).to_have_text("")


def test_a_thumbnail_made_later_takes_the_pictures_place_without_a_word(
    person: MakePerson, servers: Callable[..., Web], deployment: Deployment, tmp_path: Path
) -> None:
    ada, bo = talking(person, url=servers(THUMBNAIL_PIXELS=1_000).url)
    ada.shows(picture(900, 600), caption="large")
    for one in ada, bo:
        one.sees_pictures(1)
        assert "thumbnails" not in str(one.pictures.locator("img").get_attribute("src"))
    place = bo.pictures.bounding_box()
    crew = Crew(tmp_path, deployment.environ)
    try:
        crew.worker()
        for one in ada, bo:
            expect(one.pictures.locator("img")).to_have_attribute("src", THUMBNAIL, timeout=WORKER_STARTS)
            expect(one.pictures).to_have_attribute("data-state", "shown")
            assert one.pictures.locator("img").evaluate("node => node.naturalWidth") == 480
            expect(one.page.locator(".meta").last).not_to_contain_text("edited")
    finally:
        crew.end()
    assert bo.pictures.bounding_box() == place


def test_pictures_keep_their_place_while_they_load(person: MakePerson) -> None:
    ada, bo = talking(person)
    ada.shows(picture(800, 600), picture(300, 500))
    ada.sees_pictures(2)
    ada.say("below")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    bo.page.route(SERVED, hold)
    bo.page.reload()
    expect(bo.texts.last).to_have_text("below")
    places = "nodes => nodes.map(node => JSON.stringify(node.getBoundingClientRect()))"
    expect(bo.pictures).to_have_count(2)
    expect(bo.page.locator(".picture").first).to_have_attribute("data-state", "loading")
    before = bo.page.locator(".picture, .message").evaluate_all(places)
    grounds = bo.pictures.evaluate_all("nodes => nodes.map(node => node.style.backgroundImage.slice(0, 15))")
    assert grounds == ['url("data:image'] * 2
    for route in held:
        route.continue_()
    bo.sees_pictures(2)
    assert bo.page.locator(".picture, .message").evaluate_all(places) == before


def test_pictures_far_away_are_not_loaded(person: MakePerson) -> None:
    ada, bo = talking(person)
    bo.to_list()
    loaded: list[str] = []
    bo.page.on("request", lambda request: SERVED.search(request.url) and loaded.append(request.url))
    for _ in range(3):
        ada.shows(*(picture(300, 600) for _ in range(8)))
        expect(ada.page.locator(".sending")).to_have_count(0)
    bo.page.reload()
    bo.inside()
    bo.open(ada.name)
    expect(bo.pictures).to_have_count(24)
    expect(bo.page.locator(".picture[data-state=shown]").nth(1)).to_be_attached()
    assert len(loaded) < 20


def test_pictures_fit_a_phone(person: MakePerson) -> None:
    ada, bo = person("Ada", **PHONE), person("Bo")
    bo.find(ada)
    bo.shows(picture(3000, 400), picture(400, 3000), picture(16, 16), caption="Three " * 30)
    ada.open(bo.name)
    ada.sees_pictures(3)
    assert ada.page.evaluate(WIDE) is False
    screen = ada.page.viewport_size
    assert screen
    for one in ada.pictures.all():
        box = one.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= screen["width"]
        assert min(box["width"], box["height"]) >= 44
    ada.attach(*(picture() for _ in range(6)))
    assert ada.page.evaluate(WIDE) is False
    assert ada.page.evaluate(NAMELESS) == []
    ada.pictures.first.tap()
    whole(ada, 3000)
    image = ada.page.locator(".lightbox-stage img").bounding_box()
    assert image
    assert image["width"] <= screen["width"]
