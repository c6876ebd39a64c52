"""A browser of this run, and people in it who are forgotten after each test."""

import itertools
import os
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.person import Person
from tests.deployment import Deployment
from tests.programs import CHROMIUM

NUMBERS = itertools.count(os.getpid() * 1000)  # user names are never given twice, for the server outlives a test

MakePerson = Callable[..., Person]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def person(browser: Browser, deployment: Deployment) -> Iterator[MakePerson]:
    """Make people: `person("Ada")` is registered and inside; options go to the browser's profile.

    Whatever a test does, no script may have failed and nothing may have been forbidden by the page's policy.
    """
    made: list[Person] = []

    def make(name: str, *, registered: bool = True, url: str = "", **profile: object) -> Person:
        number = next(NUMBERS)
        context = browser.new_context(**{"locale": "en-GB", **profile})  # type: ignore[arg-type]
        one = Person(context, url or deployment.url, f"{name.split()[0].lower()}{number}", f"{name} {number}")
        made.append(one)
        return one.register() if registered else one

    yield make
    faults = [fault for one in made for fault in one.faults]
    for one in made:
        one.context.close()
    assert faults == []
