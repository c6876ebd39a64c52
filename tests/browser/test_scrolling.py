"""The past: read by scrolling back, without the page jumping; days are told apart."""

from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from tests.browser.conftest import MakePerson
from tests.browser.person import writes


def test_older_messages_come_by_scrolling_up_and_none_is_missing(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    texts = [f"message {number}" for number in range(180)]
    writes(ada, bo, texts)
    bo.open(ada.name)
    expect(bo.texts.last).to_have_text("message 179")
    bo.page.locator(".scroller").hover()
    expect(bo.page.locator(".history-head")).to_be_visible()
    bo.page.wait_for_function(
        """() => {
            const scroller = document.querySelector('.scroller');
            scroller.scrollTop = 0;
            return document.querySelector('.history-head').dataset.state === 'start';
        }"""
    )
    assert [entry["text"] for entry in bo.entries()] == texts
    assert [entry["seq"] for entry in bo.entries()] == list(range(1, 181))


def test_what_is_looked_at_stays_where_it_is_while_older_ones_are_put_above(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    writes(ada, bo, [f"message {number}" for number in range(200)])
    bo.open(ada.name)
    bo.page.get_by_role("button", name="To the newest message").click()
    bo.shows_unread(ada.name, 0)
    count, seq, before = bo.page.evaluate(
        """() => {
            const scroller = document.querySelector('.scroller');
            scroller.scrollTop = 400;
            const rows = [...document.querySelectorAll('[data-seq]')];
            const seen = rows.find(row => row.getBoundingClientRect().top > 100);
            return [rows.length, seen.dataset.seq, seen.getBoundingClientRect().top];
        }"""
    )
    bo.page.wait_for_function("count => document.querySelectorAll('[data-seq]').length > count", arg=count)
    after = bo.page.evaluate(f"document.querySelector('[data-seq=\"{seq}\"]').getBoundingClientRect().top")
    assert abs(after - before) < 2


def test_a_message_that_comes_while_one_reads_the_past_does_not_move_the_page(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    writes(ada, bo, [f"message {number}" for number in range(60)])
    bo.open(ada.name)
    ada.open(bo.name)
    expect(bo.texts.last).to_have_text("message 59")
    bo.page.get_by_role("button", name="To the newest message").click()
    bo.shows_unread(ada.name, 0)
    bo.page.evaluate("document.querySelector('.scroller').scrollTop = 900")
    place = "document.querySelector('[data-seq=\"30\"]').getBoundingClientRect().top"
    expect(bo.page.locator("[data-seq]")).to_have_count(60)
    before = bo.page.evaluate(place)
    ada.say("news")
    expect(bo.texts.last).to_have_text("news")
    assert abs(bo.page.evaluate(place) - before) < 2
    bo.shows_unread(ada.name, 1)
    bo.page.get_by_role("button", name="To the newest message").click()
    bo.shows_unread(ada.name, 0)
    expect(ada.status("news")).to_have_attribute("data-status", "read")


def test_days_are_told_apart(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    ada.find(bo)
    ada.say("hi")
    expect(ada.page.locator(".day")).to_have_text(["Today"])
    ada.page.clock.set_fixed_time(datetime.now(UTC) + timedelta(days=1))
    expect(ada.page.locator(".day")).to_have_text(["Yesterday"])
