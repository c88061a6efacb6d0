"""Child processes that end: by themselves, by their time limit, or with us."""

import os
import signal
import subprocess
from pathlib import Path


class CommandFailed(Exception):
    """A command that was to succeed. Its text holds the end of what it printed."""


class Child:
    """A command in a process group of its own, which nothing of it outlives. Its output goes to `log`."""

    def __init__(self, command: list, env: dict, log: Path, cwd: Path | None = None):
        self.command, self.log = [str(part) for part in command], log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                self.command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def is_running(self) -> bool:
        return self.process.poll() is None

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait(self, seconds: float) -> int:
        """The exit code. After so many seconds, the command is stopped and has failed."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise CommandFailed(f"{self.shown()} was not done in {seconds} s\n{tail(self.output())}") from None
        finally:
            self.stop()

    def stop(self) -> None:
        """Ends the whole group: asked first, and ten seconds later not asked."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, how)
                self.process.wait(10)
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue

    def shown(self) -> str:
        return " ".join([Path(self.command[0]).name, *self.command[1:]])


def run(command: list, env: dict, log: Path, cwd: Path | None = None, seconds: float = 120) -> str:
    """What the command printed. It must succeed."""
    child = Child(command, env, log, cwd)
    code = child.wait(seconds)
    if code != 0:
        raise CommandFailed(f"{child.shown()} ended with exit code {code}\n{tail(child.output())}")
    return child.output()


def tail(text: str, lines: int = 60) -> str:
    return "\n".join(text.splitlines()[-lines:])
