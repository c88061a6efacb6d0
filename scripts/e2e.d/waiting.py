"""Waits for a condition, with a time limit."""

import time


class NotInTime(Exception):
    """The condition did not hold within the time limit."""


def until(what: str, condition, seconds: float, interval: float = 0.25):
    """Calls `condition` until it returns a true value, and returns that value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise NotInTime(f"timed out after {seconds} s waiting until {what} (last value: {value!r})")
        time.sleep(interval)
