"""The rules: who may do what, and what it changes. One file per noun.

Functions take an open transaction, ids and values, and raise ChatError. They know neither Flask's request nor a
socket and never commit; what must be told or done afterwards goes to `tx.emit` and `tx.enqueue`.
"""
