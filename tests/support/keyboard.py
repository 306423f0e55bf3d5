"""A walk over a page with the Tab key: which controls it reaches, in which order, and whether each shows its focus."""

from itertools import pairwise
from typing import Any

from playwright.sync_api import Page

MARK = """() => {
  const controls = [...document.querySelectorAll("#content :is(a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0'])")]
    .filter((each) => !each.disabled && each.checkVisibility({visibilityProperty: true}));
  controls.forEach((each, place) => { each.dataset.place = place; });
  return controls.map((each) => `${each.tagName.toLowerCase()} ${(each.ariaLabel || each.textContent || each.name || "").trim().slice(0, 40)}`);
}"""
"""Numbers the controls of the content in the order of the document, and names them."""

LOOK = """() => {
  const control = document.activeElement;
  if (!control || control === document.body || control.dataset.place === undefined) return null;
  const looks = () => [control, control.parentElement].map((each) => {
    const style = getComputedStyle(each);
    return [style.outline, style.boxShadow, style.borderColor, style.backgroundColor, style.color, style.textDecoration, style.filter].join();
  }).join();
  const focused = looks();
  control.blur();
  const blurred = looks();
  control.focus({focusVisible: true, preventScroll: true});
  return {place: Number(control.dataset.place), shows: focused !== blurred};
}"""
"""What has the focus, and whether it looks otherwise without."""


BEGIN = f"""() => {{
  const look = {LOOK};
  document.querySelector("[data-place='0']").focus({{focusVisible: true}});
  window.walked = [look()];
  document.addEventListener("keyup", () => window.walked.push(look()), {{capture: true}});
  window.addEventListener("blur", () => window.walked.push(null));
}}"""
"""Goes to the first control, and notes what each key that comes then has reached: to ask from here would take as long as
the key itself."""


STOP_POLLS = """document.addEventListener("htmx:beforeRequest", (event) => event.preventDefault())"""

NO_POLLS = "!document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling')"


def walk(page: Page) -> dict[str, Any]:
    """Press Tab from the first control until the focus leaves the content; return what is wrong, by kind.

    From then on the page polls no more: an answer would replace controls that have their numbers. One that was asked for
    before is waited for.
    """
    page.evaluate(STOP_POLLS)
    page.wait_for_function(NO_POLLS)
    names: list[str] = page.evaluate(MARK)
    reached: list[int] = []
    dull: list[str] = []
    if not names:
        return {}
    page.evaluate(BEGIN)
    for _control in (*names, "what comes after them"):
        page.keyboard.press("Tab")
    for found in page.evaluate("window.walked"):
        if found is None or found["place"] in reached:
            break
        reached.append(found["place"])
        if not found["shows"]:
            dull.append(names[found["place"]])
    wrong = {
        "not reached": [name for place, name in enumerate(names) if place not in reached],
        "no visible focus": dull,
        "not in the order of the page": [names[b] for a, b in pairwise(reached) if b < a],
    }
    return {kind: found for kind, found in wrong.items() if found}
