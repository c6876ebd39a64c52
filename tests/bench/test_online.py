"""The measuring of presence in Redis, with few users and short leases."""

import re
import subprocess
import sys

from tests.deployment import ROOT


def test_it_tells_memory_signs_of_life_and_how_soon_a_killed_process_shows() -> None:
    command = [sys.executable, "bench/online.py", "--users=400", "--processes=2", "--seconds=1", "--quick"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert re.fullmatch(r"400 users on 2 processes: [\d.]+ MB of Redis, \d+ bytes each", said[0])
    assert re.fullmatch(r"came within [\d.]+ s \([\d,]+/s\)", said[1])
    assert "16 signs of life a second" in said[2]
    told = re.fullmatch(r"a killed process: all of its 200 users told as gone after ([\d.]+) s", said[3])
    assert told
    assert float(told[1]) < 10
