"""Starts ministack, and lets it wait longer for a function's log lines.

After an invocation, ministack takes the lines that it has read from the function so far. It stops when no line came for 5 ms. On a
loaded machine, it then keeps the last lines back until the next invocation of the same process, which may never come."""

import inspect

from ministack.app import main
from ministack.core.lambda_runtime import Worker

wait = Worker._drain_stderr_bounded
names = [name for name in inspect.signature(wait).parameters if name != "self"]
# Refuses a version of ministack whose limits have other names.
assert names == ["first_line_wait", "idle_confirm", "hard_cap"], names
# In seconds. Each invocation of our functions prints at least one line, so the first limit is reached only if that line is late.
wait.__defaults__ = (2.0, 0.1, 5.0)

if __name__ == "__main__":
    main()
