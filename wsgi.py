from gevent import monkey; monkey.patch_all()  # noqa: D100, E702 (what is imported earlier keeps real sockets and locks)

# The web server's application, in a process where everything waits cooperatively. Nothing else in the project patches.

if not monkey.is_module_patched("socket"):
    raise RuntimeError("gevent could not patch this process: start it with `gunicorn -c chat/webserver.py wsgi:app`.")

from app import create_app

app = create_app()
app.extensions["chat.node"].start()
