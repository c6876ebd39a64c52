"""Groups: made, joined, renamed, left; who read what."""

from playwright.sync_api import expect

from tests.browser.conftest import MakePerson
from tests.browser.person import Person


def make_group(owner: Person, name: str, members: list[Person], *, public: bool = False) -> None:
    owner.page.get_by_role("button", name="New group").click()
    sheet = owner.page.get_by_role("dialog", name="New group")
    sheet.get_by_label("Group name").fill(name)
    choose(owner, "New group", members)
    if public:
        sheet.get_by_label("Public").check()
    sheet.get_by_role("button", name="Create").click()
    expect(owner.page.locator(".room-head h2")).to_have_text(name)


def choose(one: Person, sheet: str, people: list[Person]) -> None:
    dialog = one.page.get_by_role("dialog", name=sheet)
    for other in people:
        dialog.get_by_role("searchbox").fill(other.name)
        dialog.locator("label.person", has_text=other.name).get_by_role("checkbox").check()


def sheet_of(one: Person, name: str) -> None:
    one.page.get_by_role("button", name="Members").click()
    expect(one.page.get_by_role("dialog", name=name).locator(".person").first).to_be_visible()


def test_a_group_is_made_and_everybody_talks(person: MakePerson) -> None:
    ada, bo, cy = person("Ada"), person("Bo"), person("Cy")
    make_group(ada, "Hike", [bo, cy])
    ada.say("who comes?")
    bo.shows_unread("Hike", 1)
    for one in bo, cy:
        one.open("Hike")
        one.say(f"{one.name.split()[0]} does")
    expect(ada.page.locator(".message .author", has_text=cy.name)).to_have_count(1)
    expect(ada.texts).to_have_count(3)
    expect(ada.status("who comes?")).to_have_attribute("data-status", "read")
    expect(ada.page.locator(".room-head .under")).to_have_text("3 members")


def test_a_message_in_a_group_is_read_when_all_have_read_it(person: MakePerson) -> None:
    ada, bo, cy = person("Ada"), person("Bo"), person("Cy")
    make_group(ada, "Readers", [bo, cy])
    ada.say("news")
    bo.open("Readers")
    expect(ada.status("news")).to_have_attribute("aria-label", "Read by 1 of 2")
    cy.open("Readers")
    expect(ada.status("news")).to_have_attribute("data-status", "read")


def test_members_are_added_and_removed(person: MakePerson) -> None:
    ada, bo, cy = person("Ada"), person("Bo"), person("Cy")
    make_group(ada, "Crew", [bo])
    ada.say("before")
    sheet_of(ada, "Crew")
    ada.page.get_by_role("button", name="Add people").click()
    choose(ada, "Add people", [cy])
    ada.page.get_by_role("button", name="Add 1 person").click()
    cy.open("Crew")
    expect(cy.page.locator(".notice").last).to_contain_text("added")
    bo.open("Crew")
    expect(bo.page.locator(".room-head .under")).to_have_text("3 members")
    ada.page.get_by_role("button", name=f"Remove {bo.name}").click()
    ada.page.get_by_role("button", name="Remove", exact=True).click()
    expect(bo.row("Crew")).to_have_count(0)
    expect(bo.page.locator(".room-empty")).to_be_visible()


def test_a_group_is_renamed_for_everybody(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    make_group(ada, "Old name", [bo])
    sheet_of(ada, "Old name")
    ada.page.get_by_role("button", name="Rename").click()
    ada.page.get_by_role("dialog", name="Rename").get_by_label("Group name").fill("新名字 <i>")
    ada.page.get_by_role("button", name="Save").click()
    for one in ada, bo:
        expect(one.row("新名字 <i>")).to_be_visible()


def test_a_public_group_is_found_joined_and_left(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    name = f"Open house {ada.username}"
    make_group(ada, name, [], public=True)
    bo.page.get_by_role("button", name="Join a group").click()
    line = bo.page.locator("li.person", has_text=name)
    line.get_by_role("button", name="Join").click()
    expect(bo.page.locator(".room-head h2")).to_have_text(name)
    bo.say("hello")
    ada.sees("hello")
    sheet_of(bo, name)
    bo.page.get_by_role("button", name="Leave group").click()
    bo.page.get_by_role("dialog").last.get_by_role("button", name="Leave group").click()
    expect(bo.row(name)).to_have_count(0)
    expect(ada.page.locator(".notice").last).to_contain_text("left")


def test_an_invitation_link_opens_the_sheet_for_joining(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    name = f"By link {ada.username}"
    make_group(ada, name, [], public=True)
    group = ada.page.evaluate("decodeURIComponent(location.hash.slice('#/c/'.length))")
    bo.page.goto(f"{bo.url}/#/join/{group}")
    bo.page.get_by_role("dialog", name="Join a group").get_by_role("button", name="Join", exact=True).last.click()
    expect(bo.page.locator(".room-head h2")).to_have_text(name)


def test_presence_of_members_is_shown_while_one_looks(person: MakePerson) -> None:
    ada, bo, cy = person("Ada"), person("Bo"), person("Cy")
    make_group(ada, "Here", [bo, cy])
    sheet_of(ada, "Here")
    dot = ada.page.locator(".person-line", has_text=cy.name).locator(".dot")
    expect(dot).to_be_visible()
    cy.page.get_by_role("button", name="Your account").click()
    cy.page.get_by_role("button", name="Log out").click()
    expect(dot).to_have_count(0)


def test_a_group_is_handed_over_before_its_owner_leaves(person: MakePerson) -> None:
    ada, bo = person("Ada"), person("Bo")
    make_group(ada, "Heirs", [bo])
    bo.open("Heirs")
    sheet_of(ada, "Heirs")
    leave = ada.page.get_by_role("button", name="Leave group")
    leave.click()
    ada.page.get_by_role("dialog").last.get_by_role("button", name="Leave group").click()
    expect(ada.page.locator(".toast")).to_contain_text("hand it over first")
    ada.page.get_by_label(f"Role of {bo.name}").select_option("owner")
    ada.page.get_by_role("button", name="Yes").click()
    expect(ada.page.locator(".person-line", has_text=bo.name).locator(".tag")).to_have_text("owner")
    leave.click()
    ada.page.get_by_role("dialog").last.get_by_role("button", name="Leave group").click()
    expect(ada.row("Heirs")).to_have_count(0)
    sheet_of(bo, "Heirs")
    expect(bo.page.get_by_role("button", name="Rename")).to_be_visible()
