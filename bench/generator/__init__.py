"""The load: one process that plays all clients of a row, fed a job as JSON and answering with figures as JSON.

`frames` and the wire languages (`native`, `socketio`) are pure; `crowd` carries their payloads over many sockets; each
kind of row (`closed_loop`, `gathering`, `presence`, `flood`, `asking`, `polling`) is one file over a crowd; `http` is
the crowd of those who ask over HTTP. A new carrier is a new crowd.
"""
