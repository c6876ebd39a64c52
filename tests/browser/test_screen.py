"""The page fits its reader: small screens, dark ones, their language, a keyboard or a screen reader."""

from playwright.sync_api import expect

from tests.browser.conftest import MakePerson

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
NAMELESS = """() => [...document.querySelectorAll('button, a, input, textarea, select, dialog, [role=img]')]
    .filter(node => node.checkVisibility())
    .filter(node => !(node.getAttribute('aria-label') || node.getAttribute('aria-labelledby') || node.labels?.length
        || node.textContent.trim() || node.querySelector('img[alt]:not([alt=""])')))
    .map(node => node.outerHTML.slice(0, 200))"""


def test_on_a_phone_the_list_and_the_conversation_are_two_screens(person: MakePerson) -> None:
    ada, bo = person("Ada", **PHONE), person("Bo")
    bo.find(ada)
    bo.say("hi")
    sidebar, room = ada.page.locator(".sidebar"), ada.page.locator(".room")
    expect(room).to_be_hidden()
    ada.open(bo.name)
    expect(sidebar).to_be_hidden()
    expect(ada.page.get_by_label("Write a message")).to_be_in_viewport()
    ada.page.get_by_role("button", name="Back to the list").click()
    expect(sidebar).to_be_visible()
    expect(room).to_be_hidden()
    ada.page.go_back()
    expect(room).to_be_visible()
    overflow = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert ada.page.evaluate(overflow) is False


def test_the_page_follows_the_colours_of_the_machine(person: MakePerson) -> None:
    ada = person("Ada")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    ada.page.emulate_media(color_scheme="light")
    light = ada.page.evaluate(ground)
    ada.page.emulate_media(color_scheme="dark")
    assert ada.page.evaluate(ground) != light


def test_the_page_speaks_its_readers_language(person: MakePerson) -> None:
    ming = person("Ming", registered=False, locale="zh-CN")
    expect(ming.page.get_by_role("heading", name="欢迎回来")).to_be_visible()
    assert ming.page.evaluate("document.documentElement.lang") == "zh-CN"


def test_everything_that_can_be_used_has_a_name(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    ada.find(bo)
    ada.say("hi")
    assert ada.page.evaluate(NAMELESS) == []
    for button in "Emoji", "New group", "Join a group", "Your account":
        ada.page.get_by_role("button", name=button).click()
        assert ada.page.evaluate(NAMELESS) == []
        ada.page.keyboard.press("Escape")


def test_a_dialog_keeps_the_focus_and_gives_it_back(person: MakePerson) -> None:
    ada = person("Ada")
    ada.page.get_by_role("button", name="New group").focus()
    ada.page.keyboard.press("Enter")
    dialog = ada.page.get_by_role("dialog", name="New group")
    expect(dialog.get_by_label("Group name")).to_be_focused()
    ada.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(ada.page.get_by_role("button", name="New group")).to_be_focused()


def test_the_time_of_a_message_stands_in_its_bubble_however_long_the_line(person: MakePerson) -> None:
    ada, bo = person("Ada", viewport=PHONE["viewport"]), person("Bo", viewport=PHONE["viewport"])
    ada.find(bo)
    lines = ["w" * length for length in range(14, 30, 2)]
    ada.say(*lines)
    bo.open(ada.name)
    bo.sees(*lines)
    for one in ada, bo:
        hanging = one.page.locator(".bubble").evaluate_all(
            "all => all.filter(each => each.querySelector('.meta').getBoundingClientRect().bottom"
            " > each.getBoundingClientRect().bottom).map(each => each.innerText)"
        )
        assert hanging == []
