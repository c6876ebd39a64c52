"""The beat of the product in a hurry: every duty twice a second."""

from tasks.worker import celery

__all__ = ["celery"]

for entry in celery.conf.beat_schedule.values():
    entry["schedule"] = 0.5
    entry["options"]["expires"] = 5.0
