"""The line: long-poll where WebSocket is blocked, and back; after any break nothing is missing or doubled."""

import re
import signal

import pytest
from playwright.sync_api import WebSocketRoute, expect

from tests.browser.conftest import MakePerson
from tests.browser.person import Person, writes
from tests.deployment import Deployment, wait_for


class Proxy:
    """Stands between a page and the server's WebSocket: lets it pass, refuses it, or cuts what is open."""

    def __init__(self, one: Person):
        self.blocks = False
        self._open: list[WebSocketRoute] = []
        one.context.route_web_socket("**/ws", self._opened)

    def _opened(self, route: WebSocketRoute) -> None:
        if self.blocks:
            route.close(code=1000, reason="blocked")
        else:
            self._open.append(route)
            route.connect_to_server()

    def block(self) -> None:
        self.blocks = True
        for route in self._open:
            route.close(code=1001, reason="cut")
        self._open.clear()


def asks_again(one: Person) -> None:
    """Have the page look at once instead of in a while, as after a change of network."""
    one.page.evaluate("dispatchEvent(new Event('online'))")


def test_where_websocket_is_blocked_messages_flow_over_long_poll(person: MakePerson) -> None:
    ada = person("Ada", registered=False)
    Proxy(ada).block()
    ada.register().live("longpoll")
    bo = person("Bo").live("websocket")
    ada.find(bo)
    ada.say("by poll")
    bo.open(ada.name)
    bo.say("by socket")
    for one in ada, bo:
        one.sees("by poll", "by socket")
    expect(ada.status("by poll")).to_have_attribute("data-status", "read")


def test_a_line_moved_to_long_poll_and_back_loses_and_doubles_nothing(person: MakePerson) -> None:
    ada = person("Ada", registered=False)
    proxy = Proxy(ada)
    ada.page.reload()
    ada.register().live("websocket")
    bo = person("Bo")
    ada.find(bo)
    said = ["socket"]
    ada.say("socket")
    bo.open(ada.name)
    for round_ in range(3):
        proxy.block()
        bo.say(f"cut {round_}")
        ada.live("longpoll")
        ada.say(f"poll {round_}")
        proxy.blocks = False
        bo.say(f"back {round_}")
        asks_again(ada)
        ada.live("websocket")
        ada.say(f"socket {round_}")
        said += [f"cut {round_}", f"poll {round_}", f"back {round_}", f"socket {round_}"]
        expect(ada.texts).to_have_count(len(said))
        expect(bo.texts).to_have_count(len(said))
    assert sorted(ada.texts.all_text_contents()) == sorted(said)
    assert ada.texts.all_text_contents() == bo.texts.all_text_contents()


def test_what_is_written_offline_is_sent_once_when_the_network_is_back(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    ada.find(bo)
    ada.say("before")
    bo.open(ada.name)
    ada.context.set_offline(True)
    asks_again(ada)
    ada.say("one", "two")
    expect(ada.status("two")).to_have_attribute("data-status", "sending")
    bo.say("meanwhile")
    expect(bo.status("meanwhile")).to_have_attribute("data-status", re.compile("sent|delivered"))
    ada.context.set_offline(False)
    asks_again(ada)
    for one in ada, bo:
        one.sees("before", "meanwhile", "one", "two")


def test_what_came_while_offline_is_all_there_however_much(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    ada.find(bo)
    ada.say("0")
    bo.open(ada.name)
    expect(ada.status("0")).to_have_attribute("data-status", "read")
    bo.context.set_offline(True)
    expect(bo.page.locator(".banner")).to_be_visible()
    writes(ada, bo, [str(number) for number in range(1, 130)])
    bo.context.set_offline(False)
    asks_again(bo)
    bo.sees(*(str(number) for number in range(130)))
    ada.sees(*(str(number) for number in range(130)))


def test_a_message_whose_answer_was_lost_is_stored_once(person: MakePerson) -> None:
    ada = person("Ada", registered=False)
    sends: list[WebSocketRoute] = []

    def swallow(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            server.send(message)
            if '"message.send"' in str(message) and len(sends) < 2:
                sends.append(route)
                server.on_message(lambda _: None)
                route.close(code=1001, reason="cut after the send")

        route.on_message(pass_on)

    ada.context.route_web_socket("**/ws", swallow)
    ada.page.reload()
    ada.register()
    bo = person("Bo")
    ada.find(bo)
    ada.say("only once")
    expect(ada.status("only once")).to_have_attribute("data-status", "delivered")
    ada.say("and after it")
    bo.open(ada.name)
    for one in ada, bo:
        one.sees("only once", "and after it")
    assert sends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_after_a_restart_of_the_server_nothing_is_missing_or_doubled(
    person: MakePerson, own_deployment: Deployment, number: int
) -> None:
    web = own_deployment.start().web
    ada, bo = (person(name, url=web.url) for name in ("Ada", "Bo"))
    ada.find(bo)
    ada.say("before")
    bo.open(ada.name)
    web.stop(number)
    ada.say("while it was away")
    bo.say("so was mine")
    expect(ada.page.locator(".banner")).to_be_visible()
    web.start()
    for one in ada, bo:
        one.live()
        expect(one.texts).to_have_count(3)
    assert ada.texts.all_text_contents() == bo.texts.all_text_contents()
    assert sorted(ada.texts.all_text_contents()) == ["before", "so was mine", "while it was away"]
    expect(ada.page.locator(".banner")).to_be_hidden()


def test_killed_workers_cost_nothing_that_was_said(person: MakePerson, own_deployment: Deployment) -> None:
    web = own_deployment.start().web
    ada, bo = (person(name, url=web.url) for name in ("Ada", "Bo"))
    ada.find(bo)
    ada.say("0 from Ada")
    bo.open(ada.name)
    for round_ in range(1, 4):
        ada.say(f"{round_} from Ada")
        wait_for(web.is_ready, 30, "a worker to kill")
        web.kill_workers()
        bo.say(f"{round_} from Bo")
    expect(ada.texts).to_have_count(7)
    expect(bo.texts).to_have_count(7)
    assert ada.texts.all_text_contents() == bo.texts.all_text_contents()
    for name in "Ada", "Bo":
        said = [text for text in ada.texts.all_text_contents() if text.endswith(name)]
        assert said == sorted(set(said))


def test_a_reload_keeps_the_login_the_place_and_what_was_not_sent(person: MakePerson) -> None:
    ada = person("Ada", registered=False)
    Proxy(ada).block()
    ada.register().live("longpoll")
    bo = person("Bo")
    ada.find(bo)
    ada.say("stored")
    expect(ada.status("stored")).to_have_attribute("data-status", "delivered")
    ada.page.route("**/messages", lambda route: route.abort())
    ada.say("not sent")
    expect(ada.status("not sent")).to_have_attribute("data-status", "sending")
    ada.page.unroute_all()
    ada.page.reload()
    ada.inside()
    bo.open(ada.name)
    for one in ada, bo:
        expect(one.page.locator(".room-head h2")).to_have_text((bo if one is ada else ada).name)
        one.sees("stored", "not sent")


@pytest.mark.parametrize("locks", ["the browser's", "none, as on plain http"])
def test_many_tabs_refreshing_at_once_do_not_end_the_login(person: MakePerson, locks: str) -> None:
    ada = person("Ada", registered=False)
    if locks != "the browser's":
        ada.context.add_init_script("Object.defineProperty(navigator, 'locks', {value: undefined})")
        ada.page.reload()
    ada.register()
    tabs = [ada, *(ada.another_tab() for _ in range(4))]
    for tab in tabs:
        tab.page.evaluate("location.reload()")
    for tab in tabs:
        tab.inside()
        expect(tab.page.get_by_role("button", name="Your account")).to_contain_text(ada.name)
    tabs[1].page.get_by_role("button", name="Your account").click()
    tabs[1].page.get_by_role("button", name="Log out").click()
    for tab in tabs:
        expect(tab.page.get_by_role("button", name="Log in", exact=True)).to_be_visible()
