"""`python app.py`: starts everything on this machine, keeps it alive, and leaves nothing behind.

Nothing in here imports gevent, Flask or the database: the launcher stays small, and its children are other processes.
"""
