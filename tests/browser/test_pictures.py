"""Pictures are picked, dropped and pasted, looked at before they are sent, and arrive as what they are."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import MakePerson
from tests.browser.person import Person
from tests.browser.pictures import avif, dragged, file, picture

SHAPES = "nodes => nodes.map(node => [node.naturalWidth, node.naturalHeight])"


def talking(person: MakePerson, **options: str) -> tuple[Person, Person]:
    """Return two people with their conversation on screen."""
    ada, bo = (person(name, **options) for name in ("Ada", "Bo"))
    ada.find(bo)
    ada.say("hi")
    bo.open(ada.name)
    bo.sees("hi")
    return ada, bo


def test_several_pictures_are_picked_and_sent_in_order_with_their_caption(person: MakePerson) -> None:
    ada, bo = talking(person)
    ada.shows(picture(320, 200), picture(120, 240), caption="The lake, at last")
    for one in ada, bo:
        one.sees_pictures(2)
        assert one.pictures.locator("img").evaluate_all(SHAPES) == [[320, 200], [120, 240]]
        expect(one.texts).to_have_text(["hi", "", "The lake, at last"])
        expect(one.row((bo if one is ada else ada).name).locator(".row-preview")).to_have_text("📷 The lake, at last")
    expect(bo.pictures.nth(0)).to_have_accessible_name(f"Photo from {ada.name}")
    expect(bo.pictures.nth(1)).to_have_accessible_name("The lake, at last")
    expect(ada.page.locator(".tray")).to_be_hidden()
    expect(ada.page.get_by_label("Write a message")).to_be_focused()


def test_a_picture_without_words_is_called_so_in_its_readers_language(person: MakePerson) -> None:
    ada, ming = person("Ada"), person("Ming", registered=False, locale="zh-CN")
    ming.page.get_by_role("button", name="还没有账号？立即注册").click()
    ming.page.get_by_label("用户名").fill(ming.username)
    ming.page.get_by_label("昵称").fill(ming.name)
    ming.page.get_by_label("密码", exact=True).fill("correct horse battery")
    ming.page.get_by_role("button", name="注册").click()
    expect(ming.page.get_by_role("heading", name="聊天")).to_be_visible()
    ada.find(ming)
    ada.shows(picture())
    expect(ming.row(ada.name).locator(".row-preview")).to_have_text("📷 图片")
    expect(ada.row(ming.name).locator(".row-preview")).to_have_text("📷 Photo")
    ming.open(ada.name)
    ming.sees_pictures(1)
    expect(ming.pictures).to_have_accessible_name(f"{ada.name} 的图片")


def test_what_was_picked_is_shown_first_and_can_be_taken_out(person: MakePerson) -> None:
    ada, _ = talking(person)
    send = ada.page.get_by_role("button", name="Send", exact=True)
    expect(send).to_be_disabled()
    ada.attach(*(picture(name=f"{number}.png") for number in range(3)))
    expect(send).to_be_enabled()
    for name in "0.png", "2.png":
        ada.page.get_by_role("button", name=f"Remove {name}").click()
    expect(ada.page.get_by_role("button", name="Remove 1.png")).to_be_focused()
    expect(ada.tray.get_by_role("img")).to_have_accessible_name("1.png")
    ada.page.keyboard.press("Enter")
    expect(send).to_be_disabled()
    assert ada.pictures.count() == 0


def test_what_was_picked_waits_while_one_looks_elsewhere(person: MakePerson) -> None:
    ada, bo = talking(person)
    ada.attach(picture(name="later.png"))
    ada.to_list()
    ada.open(bo.name)
    expect(ada.tray.get_by_role("img")).to_have_accessible_name("later.png")
    ada.page.get_by_label("Add a caption").press("Enter")
    ada.sees_pictures(1)


def test_pictures_are_dropped_onto_the_conversation(person: MakePerson) -> None:
    ada, bo = talking(person)
    room, zone = ada.page.locator(".room"), ada.page.locator(".drop-zone")
    files = dragged(ada.page, picture(name="dropped.png"), picture())
    room.dispatch_event("dragover", {"dataTransfer": files})
    expect(zone).to_be_visible()
    expect(zone).to_have_text("Drop here to send")
    expect(zone).to_be_hidden()  # the drag went elsewhere without a word
    room.dispatch_event("dragover", {"dataTransfer": files})
    room.dispatch_event("drop", {"dataTransfer": files})
    expect(zone).to_be_hidden()
    expect(ada.tray).to_have_count(2)
    ada.page.keyboard.press("Enter")
    bo.sees_pictures(2)
    # What is let go beside it is neither taken nor opened in the page's place.
    stopped = """(node, dataTransfer) => !node.dispatchEvent(
        new DragEvent('drop', {dataTransfer, bubbles: true, cancelable: true}))"""
    assert ada.page.locator(".sidebar").evaluate(stopped, files) is True
    expect(ada.tray).to_have_count(0)


def test_a_copied_picture_is_pasted_and_a_copied_text_stays_text(person: MakePerson) -> None:
    ada, bo = talking(person)
    ada.context.grant_permissions(["clipboard-read", "clipboard-write"])
    copied = """async files => navigator.clipboard.write([new ClipboardItem({'image/png': files.files[0]})])"""
    ada.page.evaluate(copied, dragged(ada.page, picture(64, 48)))
    ada.page.keyboard.press("Control+V")
    expect(ada.tray).to_have_count(1)
    ada.page.evaluate("navigator.clipboard.writeText('and words')")
    ada.page.keyboard.press("Control+V")
    expect(ada.page.get_by_label("Add a caption")).to_have_value("and words")
    ada.page.keyboard.press("Enter")
    bo.sees_pictures(1)
    expect(bo.texts.last).to_have_text("and words")


def test_a_picture_too_large_is_refused_before_a_byte_of_it_flows_and_so_is_an_eleventh(person: MakePerson) -> None:
    ada, _ = talking(person)
    uploads: list[str] = []
    ada.page.on("request", lambda request: "/uploads" in request.url and uploads.append(request.url))
    with ada.page.expect_file_chooser() as chooser:
        ada.page.get_by_role("button", name="Add photos").click()
    chooser.value.set_files(file(bytes(10 * 1024 * 1024 + 1), "holiday.png", "image/png"))
    expect(ada.page.locator(".toast")).to_have_text("“holiday.png” has 10.1 MB. At most 10 MB can be sent.")
    expect(ada.tray).to_have_count(0)
    assert uploads == []
    with ada.page.expect_file_chooser() as chooser:
        ada.page.get_by_role("button", name="Add photos").click()
    chooser.value.set_files([picture(8, 8) for _ in range(11)])
    expect(ada.page.locator(".toast").last).to_have_text("At most 10 files at once.")
    expect(ada.tray).to_have_count(10)


def test_what_is_no_picture_arrives_as_a_file_to_be_saved(person: MakePerson) -> None:
    ada, bo = talking(person)
    content = b"%PDF-1.4\n" + b"1 0 obj << >> endobj\n" * 200 + b"%%EOF\n"
    files = dragged(ada.page, file(content, "plan\u202efdp.pdf", "application/pdf"))
    ada.page.locator(".room").dispatch_event("drop", {"dataTransfer": files})
    expect(ada.tray).to_have_count(1)
    ada.page.keyboard.press("Enter")
    expect(bo.page.locator(".file-name")).to_have_text("planfdp.pdf")
    expect(bo.page.locator(".file-size")).to_have_text("4 kB")
    expect(bo.row(ada.name).locator(".row-preview")).to_have_text(re.compile(r"^📎 plan"))
    with bo.page.expect_download() as saved:
        bo.page.get_by_role("link", name=re.compile("Download planfdp.pdf")).click()
    assert saved.value.path().read_bytes() == content
    assert bo.page.url.startswith(bo.url)  # still in the conversation


def test_a_picture_of_a_kind_that_the_server_keeps_as_a_file_is_one_from_the_beginning(person: MakePerson) -> None:
    ada, bo = talking(person)
    ada.page.route("**/api/v1/uploads", lambda route: route.abort())
    ada.attach(avif("lake.avif"))
    expect(ada.tray.locator(".tray-file")).to_have_text("lake.avif")
    expect(ada.tray.get_by_role("img")).to_have_count(0)
    ada.page.keyboard.press("Enter")
    expect(ada.page.locator(".message.sending .file-name")).to_have_text("lake.avif")
    ada.page.unroute_all()
    expect(bo.page.locator(".message[data-seq] .file-name")).to_have_text("lake.avif")
    expect(ada.page.locator(".message[data-seq] .file-name")).to_have_text("lake.avif")
    assert ada.pictures.count() == bo.pictures.count() == 0


def test_both_devices_of_a_user_and_the_other_side_see_a_picture_once(person: MakePerson) -> None:
    ada, bo = talking(person)
    other = ada.another_tab()
    other.open(bo.name)
    ada.shows(picture(), caption="here")
    for one in ada, other, bo:
        one.sees_pictures(1)
        one.sees("hi", "here")
    expect(other.page.locator(".message.mine .picture")).to_have_count(1)
    other.context.close()
