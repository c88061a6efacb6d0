"""Checks HTML reports in a browser. scripts/check-report runs this file."""

import base64
import sys
from pathlib import Path

from browser import Browser

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "target/tmp"
SHOTS = ROOT / "target/check-report"
# Each page, its verdict, and the number of its charts. If a run claimed nothing, the report has no latency chart.
REPORTS = {"held": ("held", 2), "violated": ("violated", 2), "inconclusive": ("inconclusive", 1), "skipped": ("held", 2)}
SIZES = {"desk": (1100, 900), "phone": (390, 844)}
SCHEMES = ["light", "dark"]
# Lowest contrast that WCAG 2.2 permits for text of this size.
CONTRAST = 4.5

CONTRASTS = """(() => {
  const channels = text => text.match(/[0-9.]+/g).map(Number);
  const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const c = channels(getComputedStyle(at).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const element of document.querySelectorAll("body *")) {
    if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(channels(element.closest("svg") ? style.fill : style.color)), light(behind(element))];
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < LEAST) bad.push(element.tagName + " " + contrast.toFixed(2) + " " + element.textContent.slice(0, 40));
  }
  return bad;
})()"""

# Height of the smallest letters in a chart, in pixels.
LETTERS = """Math.min(...[...document.querySelectorAll("svg text")].filter(text => text.textContent.trim())
  .map(text => text.getBoundingClientRect().height))"""


def look(browser: Browser, report: str, size: str, scheme: str):
    page = (PAGES / f"report-{report}.html").as_uri()
    verdict, charts = REPORTS[report]
    target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
    session = browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ["Page", "Runtime", "Log", "Network"]:
        browser.ask(f"{domain}.enable", session)
    width, height = SIZES[size]
    browser.ask(
        "Emulation.setDeviceMetricsOverride", session, width=width, height=height, deviceScaleFactor=1, mobile=size == "phone"
    )
    browser.ask("Emulation.setEmulatedMedia", session, features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.events.clear()
    browser.ask("Page.navigate", session, url=page)
    browser.until("Page.loadEventFired")

    def value(expression: str):
        answer = browser.ask("Runtime.evaluate", session, expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"]["value"]

    def must(condition: bool, message: str):
        assert condition, f"{page}, {size}, {scheme}: {message}"

    must(value("document.getElementById('verdict').textContent") == verdict, "the page does not show the verdict")
    must(value("document.getElementById('verdict').getBoundingClientRect().top < innerHeight"), "the verdict is below the first screen")
    elements = value("document.scripts.length + document.images.length")
    must(elements == 0, "the page has a script or an image, so an event id was not escaped")
    must(value("document.title").endswith(verdict), "the title does not end with the verdict")
    must(value("document.querySelectorAll('svg').length") == charts, "the number of charts is wrong")
    skipped = value("document.querySelectorAll('.mark.skip').length")
    must((skipped > 0) == (report == "skipped"), f"{skipped} invariants are marked as not checked")
    overflow = value("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    must(overflow <= 0, f"the page is {overflow} px wider than its window")
    illegible = value(CONTRASTS.replace("LEAST", str(CONTRAST)))
    must(not illegible, f"text with too little contrast: {illegible}")
    letters = value(LETTERS)
    # The browser computes the size from a scale, so 9 px can be 8.9999 px.
    must(round(letters, 2) >= 9, f"the smallest letters of a chart are only {letters} px high")

    name = f"{report}-{size}-{scheme}"
    shot = browser.ask("Page.captureScreenshot", session, captureBeyondViewport=True, format="png")
    (SHOTS / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))
    if size == "desk":
        pdf = browser.ask("Page.printToPDF", session, printBackground=True)
        (SHOTS / f"{name}.pdf").write_bytes(base64.b64decode(pdf["data"]))

    problems = ["Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"]
    messages = [event["params"] for event in browser.events if event.get("method") in problems]
    must(not messages, f"the console has messages: {messages}")
    asked = [event["params"] for event in browser.events if event.get("method") == "Network.requestWillBeSent"]
    requests = [request["request"]["url"] for request in asked]
    must(requests == [page], f"the page requests {requests}")
    browser.ask("Target.closeTarget", targetId=target)
    print(f"{name}: ok")


def main(chromium: str):
    SHOTS.mkdir(parents=True, exist_ok=True)
    browser = Browser(chromium)
    try:
        for report in REPORTS:
            for size in SIZES:
                for scheme in SCHEMES:
                    look(browser, report, size, scheme)
    finally:
        browser.close()
    print(f"screenshots and PDFs: {SHOTS.relative_to(ROOT)}/")


main(sys.argv[1])
