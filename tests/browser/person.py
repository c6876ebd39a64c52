"""A person at the page: what they do and what they see, in a browser profile of their own."""

import re
from typing import Any

import requests
from playwright.sync_api import BrowserContext, FilePayload, Locator, Page, expect

PASSWORD = "correct horse battery"
PATIENCE = 15_000  # ms until something that has to happen counts as not happening

expect.set_options(timeout=PATIENCE)


class Person:
    """One tab. `faults` collects errors of scripts and everything that the page's policy forbade."""

    def __init__(self, context: BrowserContext, url: str, username: str, name: str, faults: list[str] | None = None):
        self.context, self.url, self.username, self.name = context, url, username, name
        self.faults: list[str] = [] if faults is None else faults
        self.page = self._watched(context.new_page())
        self.page.goto(url)

    def _watched(self, page: Page) -> Page:
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        page.on("console", lambda message: self._console(message.text))
        return page

    def _console(self, text: str) -> None:
        if "Content Security Policy" in text or "Refused to" in text:
            self.faults.append(text)

    def register(self) -> "Person":
        self.page.get_by_role("button", name="New here? Create an account").click()
        self.page.get_by_label("Username").fill(self.username)
        self.page.get_by_label("Display name").fill(self.name)
        self.page.get_by_label("Password", exact=True).fill(PASSWORD)
        self.page.get_by_role("button", name="Create account").click()
        return self.inside()

    def log_in(self) -> "Person":
        self.page.get_by_label("Username").fill(self.username)
        self.page.get_by_label("Password", exact=True).fill(PASSWORD)
        self.page.get_by_role("button", name="Log in", exact=True).click()
        return self.inside()

    def inside(self) -> "Person":
        """Wait until the list is there and the line is live."""
        expect(self.page.get_by_role("heading", name="Chats")).to_be_visible()
        return self.live()

    def live(self, carrier: str = "") -> "Person":
        """Wait until the line is live, over this carrier if one is named."""
        wanted = f"[data-carrier={carrier}]" if carrier else "[data-line=live]"
        expect(self.page.locator(f".sidebar{wanted}")).to_have_count(1)
        return self

    def another_tab(self) -> "Person":
        """Return the same login in a second tab."""
        return Person(self.context, self.url, self.username, self.name, self.faults).inside()

    def find(self, other: "Person") -> None:
        """Open the private chat with somebody by searching for them."""
        self.page.get_by_role("searchbox").fill(other.name)
        self.page.locator("a.row", has_text=other.name).first.click()
        expect(self.page.locator(".room-head h2")).to_have_text(other.name)

    def open(self, title: str) -> None:
        self.row(title).click()
        expect(self.page.locator(".room-head h2")).to_have_text(title)

    def to_list(self) -> None:
        """Leave the conversation, so that what comes is unread."""
        self.page.evaluate("location.hash = '#/'")
        expect(self.page.locator(".room-empty")).to_be_visible()

    def row(self, title: str) -> Locator:
        name = self.page.locator(".row-name", has_text=re.compile(f"^{re.escape(title)}$"))
        return self.page.locator("a.row", has=name)

    def say(self, *texts: str) -> None:
        for text in texts:
            self.page.get_by_label("Write a message").fill(text)
            self.page.keyboard.press("Enter")

    def attach(self, *files: FilePayload) -> None:
        """Choose files by the button; they lie beside the text, not sent yet."""
        before = self.tray.count()
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_role("button", name="Add photos").click()
        chooser.value.set_files(list(files))
        expect(self.tray).to_have_count(before + len(files))

    def shows(self, *files: FilePayload, caption: str = "") -> None:
        """Send files, and what is said to the last of them."""
        self.attach(*files)
        self.page.get_by_label("Add a caption").fill(caption)
        self.page.keyboard.press("Enter")

    def sees_pictures(self, count: int) -> None:
        """Wait until the conversation on screen holds so many pictures, stored, loaded and shown."""
        stored = self.page.locator(".message[data-seq] .picture")
        expect(self.page.locator(".picture")).to_have_count(count)
        expect(stored).to_have_count(count)
        for one in stored.all():
            expect(one).to_have_attribute("data-state", "shown")

    @property
    def tray(self) -> Locator:
        return self.page.locator(".tray-item")

    @property
    def pictures(self) -> Locator:
        return self.page.locator(".message .picture")

    def sees(self, *texts: str) -> None:
        """Wait until the conversation on screen holds exactly these messages."""
        expect(self.texts).to_have_text(list(texts))

    @property
    def texts(self) -> Locator:
        return self.page.locator(".message .text")

    def status(self, text: str) -> Locator:
        """Return the mark of an own message."""
        return self.page.locator(".message", has_text=text).locator(".ticks")

    def shows_unread(self, title: str, count: int) -> None:
        badge = self.row(title).locator(".badge")
        if count:
            expect(badge).to_have_text(str(count))
        else:
            expect(badge).to_have_count(0)

    def entries(self) -> list[dict[str, Any]]:
        """Return what is on screen: the number and text of every stored message, in order."""
        script = "nodes => nodes.map(n => ({seq: Number(n.dataset.seq), text: n.querySelector('.text')?.textContent}))"
        found: list[dict[str, Any]] = self.page.locator("[data-seq]").evaluate_all(script)
        return found


def writes(one: Person, to: Person, texts: list[str]) -> None:
    """Have messages sent by somebody without a browser."""
    api = f"{one.url}/api/v1"
    login = requests.post(f"{api}/auth/login", json={"username": one.username, "password": PASSWORD}, timeout=10).json()
    headers = {"Authorization": f"Bearer {login['accessToken']}"}
    found = requests.get(f"{api}/users", params={"query": to.username}, headers=headers, timeout=10).json()
    address = f"{api}/users/{found['users'][0]['id']}/messages"
    for text in texts:
        while True:
            answer = requests.post(address, json={"content": text, "localId": text}, headers=headers, timeout=10)
            if answer.status_code != 429:
                break
        answer.raise_for_status()
