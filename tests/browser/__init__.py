"""A real Chromium, as Debian brings it: `python -m tests.browser` installs it where it is missing."""
