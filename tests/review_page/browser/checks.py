"""What must hold on every page: accessible, nothing covered or cut off, focus visible."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

# Elements that a person uses, shown and not disabled, of the dialog on top if there is one.
_CONTROLS = """
const top = [...document.querySelectorAll(
  'dialog[open], details.menu[open] .menu-body, .selection-menu:not([hidden])')].at(-1)
  ?? document.body;
const controls = [...top.querySelectorAll(
  'a[href], button, input, select, textarea, summary, [tabindex]')]
  .filter((one) => one.checkVisibility({visibilityProperty: true, opacityProperty: true}))
  .filter((one) => one.type !== 'hidden' && !one.matches(':disabled, [inert] *'))
  .filter((one) => one.getBoundingClientRect().width > 0);
const named = (one) => one.tagName.toLowerCase() + (one.id ? '#' + one.id : '') +
  [...one.classList].map((name) => '.' + name).join('') + ' ' +
  (one.getAttribute('aria-label') ?? one.textContent).trim().slice(0, 40);
"""
_BESIDE_THE_WINDOW = """() => {
const width = document.documentElement.clientWidth;
const clipped = (one) => {
  for (let above = one.parentElement; above; above = above.parentElement) {
    if (['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(above).overflowX)) {
      return true;
    }
  }
  return false;
};
const found = [...document.body.querySelectorAll('*')]
  .filter((one) => one.checkVisibility({visibilityProperty: true}))
  .filter((one) => {
    const {left, right, width: own} = one.getBoundingClientRect();
    return own > 1 && (right > width + 1 || left < -1) && !clipped(one);
  })
  .map((one) => `${one.tagName.toLowerCase()}.${one.className} ${one.textContent.slice(0, 30)}`);
if (document.documentElement.scrollWidth > width) {
  found.push(`the page is ${document.documentElement.scrollWidth} wide, the window ${width}`);
}
return found;
}"""
_COVERED = f"""() => {{
{_CONTROLS}
const places = [...document.querySelectorAll('*')]
  .filter((one) => one.scrollTop || one.scrollHeight > one.clientHeight)
  .map((one) => [one, one.scrollTop]);
const found = [];
for (const one of controls) {{
  one.scrollIntoView({{block: 'center', inline: 'nearest', behavior: 'instant'}});
  const atCenter = () => {{
    const {{left, top, width, height}} = one.getClientRects()[0];
    return document.elementFromPoint(left + width / 2, top + height / 2);
  }};
  let there = atCenter();
  if (there === null && one.matches('.skip')) {{
    one.focus();  // comes into the window with the focus
    there = atCenter();
    one.blur();
  }}
  if (there === null) found.push(`${{named(one)}} is out of the window`);
  else if (!one.contains(there) && !there.contains(one) && !there.closest('label')?.contains(one))
    found.push(`${{named(one)}} is covered by ${{named(there)}}`);
}}
for (const [one, top] of places) one.scrollTop = top;
return found;
}}"""
_CUT_OFF = """() => [...document.body.querySelectorAll('*')]
  .filter((one) => one.checkVisibility({visibilityProperty: true}))
  .filter((one) => one.clientWidth > 1 && one.scrollWidth > one.clientWidth + 1)
  .filter((one) => {
    const style = getComputedStyle(one);
    return ['hidden', 'clip'].includes(style.overflowX) && style.textOverflow !== 'ellipsis';
  })
  .map((one) => `${one.tagName.toLowerCase()}.${one.className} ${one.textContent.slice(0, 40)}`)"""
_FOCUSED = """() => {
const one = document.activeElement;
if (!one || one === document.body) return null;
const style = getComputedStyle(one);
const ring = (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0)
  || style.boxShadow !== 'none';
const {left, top, width, height} = one.getBoundingClientRect();
const shown = width > 0 && left < innerWidth && top < innerHeight && left + width > 0
  && top + height > 0;
one.dataset.visited = Number(one.dataset.visited ?? 0) + 1;
return {
  name: one.tagName.toLowerCase() + ' ' +
    (one.getAttribute('aria-label') ?? one.textContent).trim().slice(0, 40),
  again: Number(one.dataset.visited) > 1, ring, shown,
};
}"""


def barriers(page: Page) -> list[str]:
    """Return what axe-core finds serious or critical."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{one['impact']}: {one['id']}: {node['target']}: {node['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def misplaced(page: Page) -> list[str]:
    """Return elements that are beside the window, covered by others, or cut off."""
    return [
        *page.evaluate(_BESIDE_THE_WINDOW),
        *page.evaluate(_COVERED),
        *page.evaluate(_CUT_OFF),
    ]


def tab_through(page: Page, most: int = 120) -> list[dict[str, object]]:
    """Press Tab until the focus has been everywhere, and return what had it, in order."""
    visited = []
    for _ in range(most):
        page.keyboard.press("Tab")
        focused = page.evaluate(_FOCUSED)
        if focused is None:
            continue
        if focused["again"]:
            break
        visited.append(focused)
    page.evaluate("""() => document.querySelectorAll('[data-visited]')
        .forEach((one) => delete one.dataset.visited)""")
    return visited
