"""The page in a real Chromium against a real server, and its pure modules under node."""
