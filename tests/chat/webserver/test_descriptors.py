"""How many clients a process may hold."""

import subprocess
import sys

from tests.chat.processes import ROOT

ASK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
from chat.webserver.descriptors import usable_descriptors
print(usable_descriptors(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def ask(soft: int, hard: int) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(soft), str(hard)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [int(word) for word in done.stdout.split()]


def test_the_limit_is_raised_to_what_the_system_allows_and_some_are_kept_back() -> None:
    assert ask(500, 1_000) == [744, 1_000]


def test_a_few_clients_are_let_in_whatever_the_limit() -> None:
    assert ask(200, 200) == [64, 200]
