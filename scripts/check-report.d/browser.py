"""Controls headless Chromium through the DevTools protocol over two pipes."""

import json
import os
import select
import subprocess
import tempfile
import time

PATIENCE = 60  # seconds


class Browser:
    """A Chromium process with a temporary profile. It resolves no names, so it reaches no other host."""

    def __init__(self, path: str):
        self.profile = tempfile.TemporaryDirectory()
        reads, self.write = os.pipe()
        self.read, writes = os.pipe()
        options = [
            "--headless",
            "--remote-debugging-pipe",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={self.profile.name}",
        ]
        if os.geteuid() == 0:
            # Chromium's sandbox does not work for root. Running without it is safe here: the browser opens only this project's reports.
            options.append("--no-sandbox")
        # Chromium reads commands from descriptor 3 and writes answers to descriptor 4.
        shell = ["bash", "-c", f'exec "$@" 3<&{reads} 4>&{writes}', "bash", path, *options]
        self.process = subprocess.Popen(shell, pass_fds=(reads, writes), stderr=subprocess.DEVNULL)
        os.close(reads)
        os.close(writes)
        self.buffer = b""
        self.asked = 0
        self.events: list[dict] = []

    def close(self):
        os.close(self.write)  # Chromium exits at the end of its input
        self.process.wait(PATIENCE)
        os.close(self.read)
        self.profile.cleanup()

    def message(self) -> dict:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read], [], [], max(0, deadline - time.monotonic()))
            assert ready, "timed out waiting for Chromium"
            more = os.read(self.read, 1 << 20)
            assert more, "Chromium exited"
            self.buffer += more
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def ask(self, method: str, session: str | None = None, **parameters) -> dict:
        self.asked += 1
        request = {"id": self.asked, "method": method, "params": parameters}
        if session:
            request["sessionId"] = session
        text = json.dumps(request).encode() + b"\0"
        while text:
            text = text[os.write(self.write, text) :]
        while (answer := self.message()).get("id") != self.asked:
            self.events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def until(self, method: str):
        """Waits for an event, unless it has already arrived."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.message())
