"""Clients as their users have them: they speak to a running server over real sockets and remember what they saw."""
