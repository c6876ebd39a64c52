"""The measuring of what images cost, shortly."""

import re
import subprocess
import sys

from tests.deployment import ROOT


def test_it_tells_what_a_message_waits_for_and_how_many_thumbnails_are_made() -> None:
    command = [sys.executable, "bench/images.py", "--quick"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    ack = r"ack p50 [\d.]+ ms, p99 [\d.]+ ms"
    assert re.fullmatch(rf"a lone message: {ack}", said[0])
    assert re.fullmatch(rf"beside 4 who upload: {ack}; [\d.]+ photographs of 4 million pixels a second", said[1])
    thumbnails = re.fullmatch(
        rf"beside Celery's work: {ack}; ([\d.]+) thumbnails of 24 million pixels a second", said[2]
    )
    assert thumbnails
    assert float(thumbnails[1]) > 0
