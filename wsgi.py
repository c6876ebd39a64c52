from gevent import monkey; monkey.patch_all()  # noqa: D100, E702 (what is imported earlier keeps real sockets and locks)

# The web server's application, in a process where everything waits cooperatively. Nothing else in the project patches.

if not monkey.is_module_patched("socket"):
    raise RuntimeError("gevent could not patch: start with `gunicorn -c chat/webserver/settings.py wsgi:app`.")

import gc

from app import create_app

app = create_app()
app.extensions["chat.node"].start()

# What was imported stays for good: without this, looking through it for garbage took a sixth of a busy server's time.
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 50)
