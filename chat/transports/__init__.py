"""The carriers, one file each: they move the frames of one session and never look inside one.

A transport owns a socket (or a waiting request), gives bytes to its session and takes bytes from it. No SQL, no verbs.
"""
