"""The chat server's core: its nouns lie flat here, one file each.

A folder below this one is a place where things multiply (carriers, wire languages, verbs, rules, doors): add a file
there. The imports run one way, from the doors to the models; `tests/test_architecture.py` holds the house to it.
"""
