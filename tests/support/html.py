"""Reads pages as a browser with a strict content security policy does."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Element:
    """One element of a page, without its children."""

    tag: str
    attributes: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page holds, in its order."""

    elements: list[Element] = field(default_factory=list)
    text: str
    """All that a person can read, with single spaces."""
    forbidden: list[str] = field(default_factory=list)
    """What a policy without ``unsafe-inline`` blocks."""

    def links(self) -> list[str]:
        return [each.attributes.get("href", "") for each in self.elements if each.tag == "a"]

    def forms(self) -> list[str]:
        """Return where the forms that post go to."""
        forms = [each.attributes for each in self.elements if each.tag == "form"]
        return [each.get("action", "") for each in forms if each.get("method", "").lower() == "post"]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.words: list[str] = []
        self.forbidden: list[str] = []
        self.hidden = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append(Element(tag=tag, attributes=attributes))
        if tag in ("script", "style"):
            self.hidden = tag
            if tag == "style" or not attributes.get("src"):
                self.forbidden.append(self.get_starttag_text() or tag)
        for name, value in attributes.items():
            script = value.strip().lower().startswith(("javascript:", "data:text/html"))
            if (
                name == "style"
                or name.startswith(("on", "hx-on"))
                or (name in ("href", "src", "action") and script)
            ):
                self.forbidden.append(f"<{tag} {name}={value!r}>")

    def handle_endtag(self, tag: str) -> None:
        if tag == self.hidden:
            self.hidden = ""

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.words.append(data)


def read_page(response: Any) -> Page:
    """Read the page that a view answered with."""
    reader = _Reader()
    reader.feed(response.content.decode())
    text = " ".join(" ".join(reader.words).split())
    return Page(elements=reader.elements, text=text, forbidden=reader.forbidden)
