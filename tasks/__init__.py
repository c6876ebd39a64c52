"""The duties of the Celery worker, one module each. `worker` is its entry and finds them by their being here; `queue`
is what it shares with those who enqueue, `stores` what each of its processes holds. A duty that comes again and again
says so in `SCHEDULE`, entries of Celery's beat_schedule: `{name: {"task": …, "schedule": seconds}}`.

Nothing here may import gevent: a patched parent's pool takes tasks and never answers. A duty is idempotent, is enqueued
by name after a commit, and can be found again from the database when the broker is lost.
"""
