"""Child processes that end by themselves, at their time limit, or together with this script."""

import os
import signal
import subprocess
from pathlib import Path


class CommandFailed(Exception):
    """A command that must succeed has failed. The text of the exception contains the end of the command's output."""


class Child:
    """A command in its own process group, so that `stop` ends all of its processes. Its output goes to `log`."""

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
        """Returns the exit code. Stops the command and fails if it still runs after `seconds`."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise CommandFailed(f"{self.shown()} did not end within {seconds} s\n{tail(self.output())}") from None
        finally:
            self.stop()

    def stop(self) -> None:
        """Ends the whole process group: with SIGTERM, and after ten seconds with SIGKILL."""
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, signal_number)
                self.process.wait(10)
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue

    def shown(self) -> str:
        return " ".join([Path(self.command[0]).name, *self.command[1:]])


def run(command: list, env: dict, log: Path, cwd: Path | None = None, seconds: float = 120) -> str:
    """Runs a command that must succeed. Returns its output."""
    child = Child(command, env, log, cwd)
    code = child.wait(seconds)
    if code != 0:
        raise CommandFailed(f"{child.shown()} exited with code {code}\n{tail(child.output())}")
    return child.output()


def tail(text: str, lines: int = 60) -> str:
    return "\n".join(text.splitlines()[-lines:])
