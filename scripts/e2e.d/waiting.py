"""Waiting for a condition, with a bound."""

import time


class NotInTime(Exception):
    """The condition did not come."""


def until(what: str, condition, seconds: float, interval: float = 0.25):
    """The first true value of `condition()`, which is asked until then."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise NotInTime(f"not within {seconds} s: {what} (last looked: {value!r})")
        time.sleep(interval)
