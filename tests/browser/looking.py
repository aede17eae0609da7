"""Looking at a page as different people do: wide and narrow, light and dark, by keyboard alone."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

__all__ = ["HEIGHT", "SCHEMES", "WIDTHS", "everybodys_problems", "keyboard_problems", "look"]

WIDTHS = (1280, 360)
HEIGHT = 800
SCHEMES = ("light", "dark")
LOOKS = ["color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size"]

_CONTROLS = """
    () => [...document.querySelectorAll("a[href], button, input, select, textarea, summary")]
        .filter(one => one.type !== "hidden" && !one.disabled && one.checkVisibility())
"""
_REMEMBER = f"""() => {{
    window.controls = ({_CONTROLS})();
    window.looks = one => {{
        const style = getComputedStyle(one);
        const outline = style.outlineStyle === "none" ? "0px" : style.outlineWidth;
        return [outline, style.boxShadow].join(" ");
    }};
    if (document.activeElement) document.activeElement.blur();
    window.unfocused = controls.map(looks);
    window.scrollTo(0, 0);
    return controls.length;
}}"""
_FOCUSED = """() => {
    const one = document.activeElement;
    const number = controls.indexOf(one);
    if (number < 0) return null;
    const box = one.getBoundingClientRect();
    const inside = box.bottom > 0 && box.top < innerHeight
        && box.right > 0 && box.left < innerWidth;
    const visible = inside && looks(one) !== unfocused[number];
    return {number, visible, name: one.outerHTML.slice(0, 160)};
}"""
_NAMES = "numbers => numbers.map(number => controls[number].outerHTML.slice(0, 160))"
_TOO_WIDE = """() => {
    const {clientWidth, scrollWidth} = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const wide = [...document.querySelectorAll("body *:not(.visually-hidden)")].filter(one =>
        one.scrollWidth > clientWidth || one.getBoundingClientRect().right > clientWidth + 1);
    return [`${scrollWidth} pixels`, ...wide.slice(-5).map(one => one.outerHTML.slice(0, 120))];
}"""


def look(page: Page, scheme: str, width: int) -> None:
    """Show the page in this colour scheme and at this width, in CSS pixels."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": HEIGHT})


def everybodys_problems(page: Page) -> list[str]:
    """What axe finds, and what makes the page scroll sideways, in both schemes and widths.

    All rules are asked of the two looks that differ most; of the other two only those that
    depend on colours and sizes.
    """
    page.evaluate(AXE_SCRIPT)
    found = []
    for scheme in SCHEMES:
        for width in WIDTHS:
            look(page, scheme, width)
            where = f"{page.url} {scheme} {width}"
            all_rules = (scheme, width) in (("light", WIDTHS[0]), ("dark", WIDTHS[1]))
            options = {} if all_rules else {"runOnly": {"type": "rule", "values": LOOKS}}
            found += [f"{where}: {problem}" for problem in _axe(page, options)]
            found += [f"{where}: too wide: {html}" for html in page.evaluate(_TOO_WIDE)]
    return found


def _axe(page: Page, options: dict[str, Any]) -> list[str]:
    answer = page.evaluate("options => axe.run({resultTypes: ['violations'], ...options})", options)
    return [
        f"{violation['id']}: {violation['help']}: {node['html'][:160]} {node['failureSummary']}"
        for violation in answer["violations"]
        for node in violation["nodes"]
    ]


def keyboard_problems(page: Page) -> list[str]:
    """Controls that the Tab key does not reach, and controls that do not show their focus."""
    look(page, "light", WIDTHS[0])
    count = page.evaluate(_REMEMBER)
    left, found = set(range(count)), []
    for _press in range(count * 3 + 10):  # a date has several stops
        if not left:
            break
        page.keyboard.press("Tab")
        focused = page.evaluate(_FOCUSED)
        if focused is None or focused["number"] not in left:
            continue
        left.remove(focused["number"])
        if not focused["visible"]:
            found.append(f"{page.url}: the focus is not visible: {focused['name']}")
    names = page.evaluate(_NAMES, sorted(left))
    return found + [f"{page.url}: not reached by keyboard: {name}" for name in names]
