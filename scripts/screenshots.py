"""Pictures of the course site, taken from a running one: ``python scripts/screenshots.py``.

Starts a site with a homeserver in a folder of its own, walks it as people do and writes the
pictures of the documentation to ``docs/images``. With ``--all FOLDER`` every page is written
there instead, wide and narrow, light and dark, for somebody to look at.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, Page, expect  # noqa: E402

from tests.browser.courses import enrol, new_course, press  # noqa: E402
from tests.browser.looking import HEIGHT, SCHEMES, WIDTHS, look  # noqa: E402
from tests.browser.running import RunningSite, chromium, running  # noqa: E402
from tests.browser.visitors import Visitors, log_in  # noqa: E402

IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 200_000
ADMIN_PAGES = "/admin/communication"
MATRIX = f"{ADMIN_PAGES}/providers/matrix"


@dataclass(frozen=True)
class Picture:
    """One picture of the documentation. ``height`` None: the whole page."""

    name: str
    who: str
    path: str
    width: int = 1100
    height: int | None = HEIGHT
    scheme: str = "light"


PICTURES = (
    Picture("courses", "student1", "/courses/", height=520),
    Picture("course", "teacher1", "/courses/1", height=744),
    Picture("course-dark", "student1", "/courses/1", scheme="dark", height=660),
    Picture("course-narrow", "student1", "/courses/1", width=390, height=720),
    Picture("communication", "teacher1", "/courses/1/communication"),
    Picture("members", "teacher1", "/courses/1/communication/members", height=620),
    Picture("account", "student1", "/account", height=620),
    Picture("administration", "admin", "/admin/", height=460),
    Picture("providers", "admin", f"{ADMIN_PAGES}/providers", height=460),
    Picture("matrix-settings", "admin", MATRIX, height=None),
    Picture("sign-in", "admin", f"{MATRIX}/sign-in", height=None),
    Picture("rooms", "admin", f"{ADMIN_PAGES}/rooms", height=520),
)

# Every page: name, person, path, and a button to press there first.
EVERY_PAGE = (
    ("not-found", "admin", "/nothing", ""),
    ("not-allowed", "student1", "/people", ""),
    ("courses", "student1", "/courses/", ""),
    ("courses-admin", "admin", "/courses/", ""),
    ("course-student", "student1", "/courses/1", ""),
    ("course-teacher", "teacher1", "/courses/1", ""),
    ("course-groups", "admin", "/courses/4", ""),
    ("course-wrong", "admin", "/courses/1", "Enrol"),
    ("course-new", "admin", "/courses/new", ""),
    ("course-new-wrong", "admin", "/courses/new", "Create course"),
    ("course-edit", "teacher1", "/courses/1/edit", ""),
    ("course-delete", "admin", "/courses/1/delete", ""),
    ("group-delete", "admin", "/courses/4/groups/1/delete", ""),
    ("communication", "teacher1", "/courses/1/communication", ""),
    ("members", "teacher1", "/courses/1/communication/members", ""),
    ("account", "teacher1", "/account", ""),
    ("people", "admin", "/people", ""),
    ("people-wrong", "admin", "/people", "Create person"),
    ("person", "admin", "/people/3/edit", ""),
    ("administration", "admin", "/admin/", ""),
    ("experimental", "admin", "/admin/experimental", ""),
    ("experimental-saved", "admin", "/admin/experimental", "Save changes"),
    ("providers", "admin", f"{ADMIN_PAGES}/providers", ""),
    ("matrix", "admin", MATRIX, ""),
    ("matrix-tested", "admin", MATRIX, "Test connection"),
    ("sign-in", "admin", f"{MATRIX}/sign-in", ""),
    ("sign-in-wrong", "admin", f"{MATRIX}/sign-in", "Sign in to get tokens"),
    ("clear-tokens", "admin", f"{MATRIX}/clear-tokens", ""),
    ("rooms", "admin", f"{ADMIN_PAGES}/rooms", ""),
    ("room", "admin", f"{ADMIN_PAGES}/rooms/1", ""),
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Take pictures of the running course site.")
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="every page, every look")
    folder = parser.parse_args().all
    take: Callable[[Visitors], None] = _documentation
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        take = lambda visitors: _everything(visitors, folder)  # noqa: E731
    with (
        tempfile.TemporaryDirectory() as temporary,
        running(Path(temporary), homeserver=True) as site,
        chromium() as browser,
    ):
        _walk(site, browser, take)
    return 0


def _walk(site: RunningSite, browser: Browser, take: Callable[[Visitors], None]) -> None:
    visitors = Visitors(site, browser)
    try:
        _arrange(visitors)
        take(visitors)
    finally:
        visitors.close()


def _arrange(visitors: Visitors) -> None:
    """Wait for the rooms of the first courses, and make a course with a group."""
    page = visitors.page()
    for course in (1, 2, 3):
        page.goto(f"/courses/{course}")
        expect(page.get_by_role("link", name="Open chat", exact=True)).to_be_visible()
    page = visitors.page()
    new_course(page, "Chemistry", "CHEM1", summary="Substances and what becomes of them.")
    enrol(page, "Student One", "Student")
    page.get_by_label("Group name", exact=True).fill("Laboratory A")
    press(page, "Create group")
    page.get_by_label("Member", exact=True).select_option("Student One")
    press(page, "Add to group")
    expect(page.get_by_role("link", name="Open chat", exact=True)).to_be_visible()


def _documentation(visitors: Visitors) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    for picture in PICTURES:
        page = visitors.page(picture.who)
        page.goto(picture.path)
        look(page, picture.scheme, picture.width)
        if picture.height is not None:
            page.set_viewport_size({"width": picture.width, "height": picture.height})
        path = IMAGES / f"{picture.name}.png"
        page.screenshot(path=path, full_page=picture.height is None)
        if path.stat().st_size > MOST_BYTES:
            raise SystemExit(f"{path} is larger than {MOST_BYTES} bytes.")
        print(path.relative_to(ROOT))  # noqa: T201  what a script is for


def _everything(visitors: Visitors, folder: Path) -> None:
    page = visitors.signed_out()
    page.goto("/login")
    _every_look(page, folder, "login")
    log_in(page, "nobody", "wrong")
    _every_look(page, folder, "login-wrong")
    for name, who, path, button in EVERY_PAGE:
        page = visitors.page(who)
        page.goto(path)
        if button:
            press(page, button)
            expect(page.get_by_role("status").or_(page.get_by_role("alert")).first).to_be_attached()
        _every_look(page, folder, name)


def _every_look(page: Page, folder: Path, name: str) -> None:
    for scheme in SCHEMES:
        for width in WIDTHS:
            look(page, scheme, width)
            page.screenshot(path=folder / f"{name}-{scheme}-{width}.png", full_page=True)


if __name__ == "__main__":
    sys.exit(main())
