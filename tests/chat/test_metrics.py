import os
import time

import pytest

from chat import metrics
from chat.metrics import BOUNDS, Histogram, Metrics


def line_of(text, name, **labels):
    """Return the value of a sample."""
    for line in text.decode().splitlines():
        if line.startswith(name + "{") and all(f'{label}="{value}"' in line for label, value in labels.items()):
            return float(line.rsplit(" ", 1)[1])
    return None


def test_durations_are_counted_by_their_bounds():
    histogram = Histogram()
    histogram.observe(0.0005)
    histogram.observe(0.003, times=5)
    histogram.observe(100.0)
    assert histogram.counts[0] == 1
    assert histogram.counts[BOUNDS.index(0.004)] == 5
    assert histogram.counts[-1] == 1
    assert histogram.total == pytest.approx(100.0155)


def test_a_batch_is_counted_from_each_of_its_moments():
    histogram = Histogram()
    histogram.observe_batch([10.0, 10.5, 10.9], 11.0)
    assert sum(histogram.counts) == 3
    assert histogram.total == pytest.approx(1.6)


def test_a_batch_of_300_messages_costs_less_than_a_tenth_of_its_writing():
    histogram, starts = Histogram(), [float(number) for number in range(300)]
    took = []
    for _ in range(20):
        start = time.perf_counter()
        histogram.observe_batch(starts, 300.0)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.0003, "1 µs a message; writing one takes 10"


def test_a_scrape_shows_histograms_cumulated():
    of = Metrics()
    of.send_to_ack.observe(0.003, times=5)
    of.send_to_ack.observe(0.3)
    text = of.scrape()
    assert line_of(text, "chat_send_to_ack_seconds_bucket", le="0.002") == 0
    assert line_of(text, "chat_send_to_ack_seconds_bucket", le="0.004") == 5
    assert line_of(text, "chat_send_to_ack_seconds_bucket", le="+Inf") == 6
    assert line_of(text, "chat_send_to_ack_seconds_count") == 6


def test_a_gauge_is_read_at_the_scrape_and_a_broken_one_hides_no_other():
    of, queue = Metrics(), [1, 2]
    of.gauge("queue", "Waiting.", lambda: len(queue))
    of.gauge("broken", "Broken.", lambda: 1 / 0)
    of.gauge("sessions", "By carrier.", lambda: {"sse": 2, "websocket": 3}, "carrier")
    queue.append(3)
    text = of.scrape()
    assert line_of(text, "chat_queue") == 3
    assert line_of(text, "chat_broken") is None
    assert line_of(text, "chat_sessions", carrier="sse") == 2


def as_worker(monkeypatch, pid):
    monkeypatch.setattr(os, "getpid", lambda: pid)


def test_each_worker_shows_all_workers(monkeypatch, tmp_path):
    for pid, count in ((101, 1), (102, 2)):
        as_worker(monkeypatch, pid)
        of = Metrics(str(tmp_path))
        of.errors["invalid"] += count
        of.leave()
    as_worker(monkeypatch, 103)
    of = Metrics(str(tmp_path))
    of.errors["invalid"] += 3
    text = of.scrape()
    counts = {pid: line_of(text, "chat_errors_total", worker=pid, code="invalid") for pid in ("101", "102", "103")}
    assert counts == {"101": 1, "102": 2, "103": 3}


def test_a_worker_that_is_gone_is_not_shown_and_swept_away_later(monkeypatch, tmp_path):
    as_worker(monkeypatch, 101)
    Metrics(str(tmp_path)).leave()
    left = tmp_path / "metrics" / "101.json"
    as_worker(monkeypatch, 102)
    for age, there in ((metrics.FRESH + 1, True), (metrics.FORGOTTEN + 1, False)):
        os.utime(left, (time.time() - age,) * 2)
        assert b'worker="101"' not in Metrics(str(tmp_path)).scrape()
        assert left.exists() is there


def test_what_another_worker_half_wrote_is_no_error(tmp_path):
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "101.json").write_bytes(b'{"errors":')
    assert b'worker="101"' not in Metrics(str(tmp_path)).scrape()


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "metrics").write_text("a file")
    of = Metrics(str(tmp_path))
    of.leave()
    assert of.scrape()


def test_a_process_leaves_its_numbers_by_itself(monkeypatch, tmp_path):
    class Over(BaseException):
        pass

    def end(_):
        raise Over

    monkeypatch.setattr(metrics.time, "sleep", end)
    of = Metrics(str(tmp_path))
    with pytest.raises(Over):
        of.loops["metrics"]()
    assert (tmp_path / "metrics" / f"{os.getpid()}.json").exists()


def test_without_a_folder_nothing_is_left():
    of = Metrics()
    of.leave()
    assert of.loops == {}
