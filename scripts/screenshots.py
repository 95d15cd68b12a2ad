"""`make screenshots`: docs/screenshot.png, and every screen at both sizes and in both themes under build/screens/.

Starts the whole of Sundown on ports and data of its own, works through the app inside the stand-in's frame as a person
would, and stops everything again. `--at URL --control URL` drives one that is already running.
"""

import argparse
import itertools
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from playwright.sync_api import Browser, Frame, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from dev.apart import started  # noqa: E402  # the checkout is no installed package
from dev.chromium import FLAGS, chromium  # noqa: E402

README_PICTURE = ROOT / "docs" / "screenshot.png"
SIZES = {"desk": (1280, 720), "phone": (390, 844)}
THEMES = ("light", "dark")
FIRST_PORT = 8180
ADMIN, EDITOR, READER = 1, 7, 9
UNPUBLISH = "landing.landing.unpublic"


def main() -> None:
    """Start, drive, stop."""
    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    parser.add_argument("--at", help="address of a running stand-in portal")
    parser.add_argument("--control", help="address of its control API")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "screens")
    parser.add_argument("--only", default="", help="just the scenes whose name contains this")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with running(asked.at, asked.control) as (portal, control), sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=FLAGS)
        install(browser, portal)
        for size, theme in itertools.product(SIZES, THEMES):
            Round(browser, portal, control, size, theme, asked.out, asked.only).walk()
        browser.close()
    picture = asked.out / "desk-light-2-selected.png"
    if picture.is_file():
        README_PICTURE.parent.mkdir(exist_ok=True)
        shutil.copyfile(picture, README_PICTURE)


@contextmanager
def running(at: str | None, control: str | None) -> Iterator[tuple[str, str]]:
    """Addresses of a portal and of the control API: those given, or of a Sundown started for this."""
    if at and control:
        yield at.rstrip("/"), control.rstrip("/")
        return
    with started(FIRST_PORT) as addresses:
        yield addresses


def install(browser: Browser, portal: str) -> None:
    """An administrator's first open, so that the installer has been through."""
    page = browser.new_page()
    page.goto(f"{portal}/")
    page.frame_locator("iframe").locator("#grid").wait_for(timeout=30_000)
    page.close()


class Round:
    """One walk through all scenes at one size and in one theme."""

    def __init__(
        self, browser: Browser, portal: str, control: str, size: str, theme: str, out: Path, only: str
    ) -> None:
        width, height = SIZES[size]
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, has_touch=size == "phone", reduced_motion="reduce"
        )
        self.context.set_default_timeout(20_000)
        self.page: Page = self.context.new_page()
        self.portal, self.control, self.theme, self.out, self.only = portal, control, theme, out, only
        self.prefix = f"{size}-{theme}"

    def walk(self) -> None:
        """Every scene; each begins with a fresh open, so that one does not need the other."""
        scenes = (
            self.pages, self.orders, self.failures, self.lists, self.kinds, self.errors, self.settings, self.reader,
            self.waiting, self.health, self.installer, self.outside, self.finding, self.many,
        )  # fmt: skip
        for scene in scenes:
            self.tell("/faults/clear")
            if self.only in scene.__name__:
                scene()
        self.context.close()

    # --- ways ------------------------------------------------------------------------------------------------------

    def tell(self, path: str, **values: object) -> None:
        """Give the stand-in an order."""
        requests.post(f"{self.control}{path}", json={"portal": 0, **values}, timeout=10).raise_for_status()

    def open(self, query: str = "", user: int = EDITOR, ready: str = "#grid, #view [data-heading]") -> Frame:
        """The portal's page with the app in it, in the wanted theme."""
        self.page.goto(f"{self.portal}/?user={user}&lang=en&theme={self.theme}{query}")
        self.page.evaluate("document.querySelector('.standin-bar')?.remove()")  # it is no part of a portal
        frame = self.frame()
        frame.wait_for_selector(ready)
        if frame.evaluate("document.documentElement.dataset.theme") != self.theme:
            frame.click("#theme")
        return frame

    def frame(self) -> Frame:
        """The app's frame, once it has loaded."""
        handle = self.page.wait_for_selector("iframe")
        frame = handle.content_frame() if handle else None
        if frame is None:
            raise SystemExit("screenshots: the portal shows no frame")
        frame.wait_for_load_state()
        return frame

    def shoot(self, name: str) -> None:
        """Let things settle, then take the picture."""
        self.page.wait_for_timeout(500)
        self.page.screenshot(path=self.out / f"{self.prefix}-{name}.png")
        sys.stdout.write(f"{self.prefix}-{name}\n")

    def tick(self, frame: Frame, *rows: int) -> None:
        """Tick boxes by their place among those that can be ticked."""
        boxes = frame.locator("#grid input[name=lids]:not(:disabled)")
        for row in rows:
            boxes.nth(row).evaluate("box => box.click()")

    def unfold(self, frame: Frame) -> None:
        """Show the filters, where they are folded away."""
        if frame.is_visible("#filters summary"):
            frame.click("#filters summary")

    def order(self, frame: Frame, button: str) -> None:
        """Press a button of the bulk bar and wait for the dialog."""
        frame.locator(f"#bulk >> text={button}").evaluate("button => button.click()")
        frame.wait_for_selector("dialog[open] form")

    def undo(self, frame: Frame) -> None:
        """Put back what the shown run did, and stay until it is done."""
        frame.click("#run-undo")
        frame.wait_for_selector("dialog[open] #sure")
        if frame.locator("#typed").count():
            frame.fill("#typed", frame.inner_text("#dialog-title").split()[1])
        self.shoot("33-undo")
        frame.click("#sure")
        frame.wait_for_selector(r"#run:not([data-poll]) #run-title >> text=/\d pages? published/", timeout=120_000)
        frame.wait_for_selector("#run-back")

    # --- scenes ----------------------------------------------------------------------------------------------------

    def pages(self) -> None:
        """The list, a selection, a search without a find."""
        frame = self.open()
        self.shoot("1-pages")
        frame.click("#preferences-open")
        frame.wait_for_selector("dialog[open] #own-zone-search")
        self.shoot("35-preferences")
        self.page.keyboard.press("Escape")
        self.tick(frame, 1, 3, 4)
        self.shoot("2-selected")
        frame.fill("#q", "zzzz")
        frame.wait_for_selector(".empty")
        self.shoot("3-nothing-matches")

    def finding(self) -> None:
        """Folders, an order, only what is selected, and pasted addresses with and without a find."""
        frame = self.open()
        self.unfold(frame)
        frame.select_option("#site", "3")
        frame.wait_for_selector("#folder")
        frame.locator("#sort-title").evaluate("button => button.click()")
        frame.wait_for_selector("th[aria-sort]", state="attached")
        self.shoot("34-folders-and-order")
        self.tick(frame, 1, 3, 4)
        frame.locator("#show-selected").evaluate("button => button.click()")
        frame.wait_for_selector("#only-selected")
        self.shoot("35-only-selected")
        links = frame.locator("#grid .where a").evaluate_all("links => links.map(({ href }) => href)")
        frame.locator("#paste").evaluate("button => button.click()")
        frame.fill("#addresses", "https://example.com/none/\nhello")
        frame.click("#find")
        frame.wait_for_selector("#dialog .missing")
        self.shoot("36-addresses-not-found")
        frame.fill("#addresses", "\n".join([*links, "https://example.com/none/"]))
        frame.click("#find")
        frame.wait_for_selector("#found")
        self.shoot("37-addresses-found")

    def orders(self) -> None:
        """Both dialogs, a run while it runs, and when it is done; put back afterwards."""
        frame = self.open()
        self.tick(frame, 1, 3, 4)
        self.order(frame, "Schedule…")
        self.shoot("4-schedule")
        if frame.locator("#once-more").count():  # the rounds before have ordered the very same
            frame.check("#once-more")
        frame.click("#confirm")
        frame.wait_for_selector("#run")
        self.shoot("5-scheduled-run")
        frame = self.open()
        self.tick(frame, 1, 3, 4, 6, 7, 8)
        self.order(frame, "Unpublish now")
        self.shoot("6-confirm")
        self.tell("/fault", method=UNPUBLISH, kind="latency", seconds=0.7, times=6)
        frame.click("#confirm")
        frame.wait_for_selector("#run")
        self.shoot("7-running")
        frame.wait_for_selector("#run-undo")
        self.shoot("8-done")
        self.undo(frame)

    def failures(self) -> None:
        """A run of which one page failed, and its list."""
        frame = self.open()
        self.tick(frame, 9, 10, 11, 12)
        self.order(frame, "Unpublish now")
        self.tell("/fault", method=UNPUBLISH, kind="error", code="ACCESS_DENIED", status=400, skip=2)
        frame.click("#confirm")
        frame.wait_for_selector("#run-retry")
        self.shoot("9-partly-failed")
        self.undo(frame)

    def lists(self) -> None:
        """History and what is still to come; the schedule is cancelled again."""
        frame = self.open()
        frame.click("#tabs >> text=History")
        frame.wait_for_selector("[data-tab=history]")
        self.shoot("10-history")
        frame.click("#tabs >> text=Scheduled")
        frame.wait_for_selector("[data-tab=scheduled]")
        self.shoot("11-scheduled")
        for view in ("month", "week"):
            frame.click(f"#view-{view}")
            frame.wait_for_selector(f".cal.{view}")
            self.shoot(f"34-{view}")
        frame.click("#view-agenda")
        frame.wait_for_selector("[data-calendar=agenda]")
        if frame.locator(".entry .title").count():
            frame.locator("[id^=reschedule-]").first.click()
            frame.wait_for_selector("dialog[open] #confirm")
            self.shoot("35-reschedule")
            frame.click("dialog [data-do=close-dialog]")
            frame.locator(".entry .title").first.click()
            frame.wait_for_selector("#run-cancel")
            frame.click("#run-cancel")
            frame.wait_for_selector("dialog[open] #sure")
            self.shoot("34-cancel")
            frame.click("#sure")
            frame.wait_for_selector("#run-back")
            self.shoot("12-cancelled")

    def kinds(self) -> None:
        """Another kind of pages."""
        frame = self.open()
        self.unfold(frame)
        frame.select_option("#kind", "KNOWLEDGE")
        frame.wait_for_selector("#kind >> option[value=KNOWLEDGE]:checked", state="attached")
        self.shoot("13-knowledge")

    def errors(self) -> None:
        """Missing scope, a session that cannot be refreshed, a first list that could not be loaded."""
        frame = self.open()
        self.tick(frame, 1, 2)
        self.page.route("**/runs/preview", lambda route: route.abort())
        frame.locator("#bulk .btn-primary").evaluate("button => button.click()")
        frame.wait_for_selector("#notices .banner")
        self.shoot("14-no-answer")
        self.page.unroute("**/runs/preview")
        self.tell("/fault", method="*", kind="error", code="insufficient_scope", status=401, times=-1)
        frame.click("#tabs >> text=Pages")
        frame.wait_for_selector("#notices >> text=insufficient_scope")
        self.shoot("15-scope")
        self.tell("/faults/clear")
        frame = self.open()
        self.tick(frame, 1, 2)
        self.page.route(
            "**/runs/preview", lambda route: route.continue_(headers={**route.request.headers, "authorization": ""})
        )
        self.page.route("**/session", lambda route: route.abort())
        frame.locator("#bulk .btn-primary").evaluate("button => button.click()")
        frame.wait_for_selector("#notices >> text=session_expired")
        self.shoot("16-session-ended")
        self.page.unroute("**/runs/preview")
        self.page.unroute("**/session")
        self.page.route("**/pages", lambda route: route.abort())
        self.open(ready="#view [data-failed]")
        self.shoot("33-not-loaded")
        self.page.unroute("**/pages")

    def settings(self) -> None:
        """The app opened from a page's settings, and from one that is gone."""
        lid = self.open().get_attribute("#grid input[name=lids] >> nth=2", "value")
        self.open(f'&placement=LANDING_SETTINGS&options={{"LID":"{lid}","SITE_ID":"1"}}', ready="[data-lid]")
        self.shoot("17-page-settings")
        self.open('&placement=LANDING_SETTINGS&options={"LID":"999999","SITE_ID":"1"}', ready=".empty")
        self.shoot("18-page-gone")

    def reader(self) -> None:
        """Somebody who may look but not change."""
        self.open(user=READER)
        self.shoot("19-reader")

    def waiting(self) -> None:
        """A run that waits for somebody, and how a colleague hears of it; taken over and put back."""
        frame = self.open()
        self.tick(frame, 1, 3, 4)
        self.order(frame, "Unpublish now")
        self.tell("/fault", method=UNPUBLISH, kind="error", code="user_access_error", status=401, times=-1, user=EDITOR)
        frame.click("#confirm")
        frame.wait_for_selector("#run .banner h3 >> text=use Sundown on this portal yet")
        self.shoot("23-waiting")
        self.tell("/faults/clear")
        frame = self.open(user=ADMIN)
        frame.wait_for_selector("#news summary")
        self.shoot("24-news")
        frame.click("#news summary")
        self.shoot("36-news-open")
        frame.locator("#news .told a").first.click()
        frame.click("#run-takeover")
        frame.wait_for_selector("#run:not([data-poll]) #run-undo")
        self.shoot("25-taken-over")
        self.undo(frame)

    def health(self) -> None:
        """How the app stands, and what it asked the portal."""
        frame = self.open(user=ADMIN)
        frame.click("#tabs >> text=Health")
        frame.wait_for_selector("#repair")
        self.shoot("26-health")
        frame.click("#repair")
        frame.wait_for_selector("#view [role=status] h3")
        self.shoot("27-repaired")
        frame.click("#log")
        frame.wait_for_selector("#view [data-tab=health] table")
        self.shoot("28-requests")

    def installer(self) -> None:
        """The installer, with everything granted and without the permission for Sites."""
        self.post_installer()
        self.shoot("29-installer")
        self.tell("/scope", scopes=[])
        self.post_installer()
        self.shoot("30-installer-scope")
        self.tell("/scope", scopes=["landing"])

    def post_installer(self) -> None:
        """The portal's post to the installer, into the whole window."""
        asked = requests.post(f"{self.control}/open", json={"portal": 0, "user": ADMIN, "install": True}, timeout=10)
        post = asked.json()
        self.page.goto("about:blank")
        self.page.evaluate(
            """({ url, form }) => {
              const sent = Object.assign(document.createElement('form'), { method: 'post', action: url })
              for (const [name, value] of Object.entries(form)) {
                sent.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }))
              }
              document.body.append(sent)
              sent.submit()
            }""",
            post,
        )
        self.page.wait_for_selector("#install .steps")

    def many(self) -> None:
        """More pages than are taken down without typing their number, and their run in screens."""
        self.tell("/pages", n=150)
        frame = self.open()
        with self.page.expect_response("**/pages?fresh=1"):
            frame.click("#tabs >> text=Pages")
        frame.wait_for_selector("#view:not(.htmx-request)")
        frame.locator("#select-all").evaluate("box => box.click()")
        frame.locator("#bulk-all").evaluate("button => button.click()")
        frame.wait_for_selector("#bulk-all", state="hidden")
        self.order(frame, "Unpublish now")
        self.shoot("31-confirm-many")
        frame.fill("#typed", frame.inner_text("#dialog-title").split()[1])
        frame.click("#confirm")
        frame.wait_for_selector("#run:not([data-poll]) #run-undo", timeout=60_000)
        self.shoot("32-many")
        self.undo(frame)

    def outside(self) -> None:
        """What a browser sees outside of a portal."""
        source = self.open().url.split("/app", 1)[0]
        for number, path in ((20, "app"), (21, "privacy"), (22, "licence")):
            self.page.goto(f"{source}/{path}")
            self.shoot(f"{number}-{path}")


if __name__ == "__main__":
    main()
