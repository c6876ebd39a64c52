"""The web server: gunicorn with a worker of ours. Its settings, the worker, and how a request is read and answered."""
