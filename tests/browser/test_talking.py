"""Two people talk: what is said arrives once, in order, as text, and each sees how far the other has come."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import MakePerson

EVIL = (
    "<img src=x onerror=\"document.title='hacked'\">",
    "<script>document.title='hacked'</script>",
    'javascript:alert(1) https://example.org/"onmouseover="alert(1)',
    "${7*7} {{7*7}} &lt;b&gt; \u202ereversed",
)


def test_two_people_talk(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    ada.find(bo)
    ada.say("hello", "are you there?")
    bo.open(ada.name)
    bo.say("你好！收到 👋")
    for one in ada, bo:
        one.sees("hello", "are you there?", "你好！收到 👋")


def test_unread_is_counted_until_it_is_looked_at(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    ada.find(bo)
    ada.say("one", "two")
    bo.shows_unread(ada.name, 2)
    expect(bo.page).to_have_title("(2) Chat")
    bo.open(ada.name)
    bo.shows_unread(ada.name, 0)
    expect(bo.page).to_have_title("Chat")
    expect(bo.page.locator(".new-line")).to_be_visible()


def test_ticks_tell_sent_delivered_and_read(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    bo.context.close()
    ada.find(bo)
    ada.say("first")
    expect(ada.status("first")).to_have_attribute("data-status", "sent")
    back = person("Bo", registered=False)
    back.username, back.name = bo.username, bo.name
    back.log_in()
    expect(ada.status("first")).to_have_attribute("data-status", "delivered")
    back.open(ada.name)
    expect(ada.status("first")).to_have_attribute("data-status", "read")


def test_typing_is_seen_and_ends_with_the_message(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    ada.find(bo)
    ada.say("hi")
    bo.open(ada.name)
    bo.page.get_by_label("Write a message").press_sequentially("I think")
    expect(ada.page.locator(".message.typing")).to_be_visible()
    expect(ada.page.locator(".room-head .under")).to_have_text(f"{bo.name} is typing…")
    bo.page.keyboard.press("Enter")
    ada.sees("hi", "I think")
    expect(ada.page.locator(".message.typing")).to_have_count(0)


def test_presence_is_shown_by_a_dot(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    ada.find(bo)
    ada.say("hi")
    expect(ada.row(bo.name).locator(".dot")).to_be_visible()
    bo.page.get_by_role("button", name="Your account").click()
    bo.page.get_by_role("button", name="Log out").click()
    expect(ada.row(bo.name).locator(".dot")).to_have_count(0)


def test_what_people_write_is_text_and_nothing_else(person: MakePerson) -> None:
    ada = person("Ada <b>bold</b>")
    bo = person("Bo")
    ada.find(bo)
    ada.say(*EVIL)
    bo.open(ada.name)
    for one in ada, bo:
        one.sees(*EVIL)
        assert one.page.locator(".text img, .text script, .row b, h2 b, [onmouseover], [onerror]").count() == 0
        assert "hacked" not in one.page.title()
    assert bo.page.locator(".text a").evaluate_all("links => links.map(a => a.protocol)") == ["https:"]


def test_enter_that_ends_a_composition_does_not_send(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    ada.find(bo)
    field = ada.page.get_by_label("Write a message")
    field.fill("ni hao")
    composing = "new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true, cancelable: true})"
    assert field.evaluate(f"node => node.dispatchEvent({composing})") is True  # left to the input method
    old_safari = "new KeyboardEvent('keydown', {key: 'Enter', keyCode: 229, bubbles: true, cancelable: true})"
    assert field.evaluate(f"node => node.dispatchEvent({old_safari})") is True
    expect(field).to_have_value("ni hao")
    ada.page.keyboard.press("Shift+Enter")
    expect(field).to_have_value("ni hao\n")
    field.fill("你好")
    ada.page.keyboard.press("Enter")
    ada.sees("你好")


def test_two_tabs_of_one_user_agree_on_what_is_read(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    other = bo.another_tab()
    ada.find(bo)
    ada.say("one", "two")
    for tab in bo, other:
        tab.shows_unread(ada.name, 2)
    bo.open(ada.name)
    other.shows_unread(ada.name, 0)
    expect(other.page).to_have_title("Chat")
    bo.say("answer")
    other.open(ada.name)
    other.sees("one", "two", "answer")
    other.context.close()


def test_a_refused_message_says_why_and_can_be_thrown_away(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    ada.find(bo)
    ada.say("first")
    ada.sees("first")
    field = ada.page.get_by_label("Write a message")
    field.fill("x" * 5_001)
    expect(ada.page.get_by_role("button", name="Send")).to_be_disabled()
    expect(ada.page.locator(".count")).to_have_text("-1 characters left")
    nothing = "node => { node.value = '\\u0000'; node.dispatchEvent(new Event('input')); }"  # a database keeps no NUL
    field.evaluate(nothing)
    ada.page.keyboard.press("Enter")
    failed = ada.page.locator(".message.failed")
    expect(failed.get_by_role("alert")).to_contain_text("Not sent")
    failed.get_by_role("button", name="Discard").click()
    ada.sees("first")


LEAVES_AS_IT_BEGINS = """() => {
  window.requestAnimationFrame = draw => queueMicrotask(draw); // before the page can hear that it was left
  const put = Map.prototype.set;
  Map.prototype.set = function (key, value) {
    if (value?.kind === 'private') {
      Map.prototype.set = put;
      location.hash = '#/';
    }
    return put.call(this, key, value);
  };
}"""


def test_who_leaves_as_the_first_message_is_stored_is_not_called_back(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    ada.find(bo)
    ada.page.evaluate(LEAVES_AS_IT_BEGINS)
    ada.say("bye")
    expect(ada.page.locator(".room-empty")).to_be_visible()
    expect(ada.row(bo.name)).to_contain_text("bye")
    expect(ada.page).to_have_url(re.compile("#/$"))


def test_the_list_is_walked_by_keyboard(person: MakePerson) -> None:
    ada, bo, cy = person("Ada"), person("Bo"), person("Cy")
    for other in bo, cy:
        ada.find(other)
        ada.say("hi")
    ada.to_list()
    ada.page.get_by_role("searchbox").focus()
    ada.page.keyboard.press("ArrowDown")
    ada.page.keyboard.press("ArrowDown")
    ada.page.keyboard.press("Enter")
    expect(ada.page.locator(".room-head h2")).to_have_text(bo.name)
    expect(ada.page.get_by_label("Write a message")).to_be_focused()


def test_a_word_begun_before_the_first_message_was_stored_is_not_disturbed(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    ada.find(bo)
    field = ada.page.get_by_label("Write a message").element_handle()
    assert field
    ada.say("first")
    ada.page.keyboard.type("half a wo")
    ada.page.keyboard.press("ArrowLeft")
    expect(ada.page).to_have_url(re.compile("#/c/"))
    ada.page.keyboard.type("-")
    assert field.input_value() == "half a w-o"
    assert field.evaluate("node => node === document.activeElement")
