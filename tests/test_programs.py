"""Where a program is missing its tests are left out loudly, and fail in CI: a test run of its own tells."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TESTS = """
import pytest

@pytest.fixture
def browser():
    raise RuntimeError("the browser is missing")

def test_the_page(browser):
    pass

@pytest.mark.browser
def test_the_mark():
    pass

def test_anything_else():
    pass
"""
ADVICE = "nowhere/chromium, not found here: apt-get install chromium"


@pytest.fixture
def run(tmp_path: Path):
    """Return a function that runs those tests with `CI` set so and Chromium there or not, and what that printed."""
    (tmp_path / "test_page.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = browser: needs Chromium\n")

    def run_tests(ci: str, chromium: str, *more: str) -> str:
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "CI": ci, "CHROMIUM": chromium}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.programs", "-p", "no:cacheprovider", *more]
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False).stdout

    return run_tests


def test_what_cannot_run_is_left_out_and_the_first_and_the_last_lines_say_so(run):
    said = run("", "nowhere/chromium")
    assert "1 passed, 2 deselected" in said
    assert said.startswith(f"LEFT OUT: 2 tests that need {ADVICE}")
    assert said.count("LEFT OUT") == 2


def test_in_ci_it_fails_with_what_to_install_before_any_fixture(run):
    said = run("true", "nowhere/chromium")
    assert "1 passed, 2 errors" in said
    assert f"This test needs {ADVICE}" in said
    assert "RuntimeError" not in said
    assert "LEFT OUT" not in said


def test_with_the_program_everything_runs_and_nothing_is_said(run):
    said = run("", sys.executable)
    assert "2 passed, 1 error" in said
    assert "the browser is missing" in said
    assert "LEFT OUT" not in said


def test_the_fixture_gives_the_mark_to_be_chosen_by(run):
    assert "1 passed, 2 deselected" in run("", sys.executable, "-m", "not browser")
