"""The wire languages, one file each: bytes to Commands, Events and answers to bytes. Pure: no IO, no clock, no Flask.

May import frames and errors, nothing else of the project.
"""
