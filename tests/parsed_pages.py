"""What tests read of a site's pages: their links, ids and text."""

import html.parser
from dataclasses import dataclass, field
from pathlib import Path

VOID = {"meta", "link", "br", "img", "wbr", "hr", "input"}
INLINE = {"a", "code", "span", "sup", "button", "wbr"}


@dataclass
class Parsed:
    """`links` are all that an `href` or `src` names; `open` is empty for a page whose elements are all closed."""

    links: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    text: str = ""
    open: list[str] = field(default_factory=list)


class _Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = Parsed()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.found.text += "" if tag in INLINE else " "
        self.found.links += [values[name] for name in ("href", "src") if values.get(name)]
        self.found.ids += [values["id"]] if "id" in values else []
        self.found.headings += [tag] if tag in ("h1", "h2", "h3", "h4") else []
        if tag not in VOID:
            self.found.open.append(tag)

    def handle_startendtag(self, tag, attrs):  # of SVG
        pass

    def handle_endtag(self, tag):
        self.found.text += "" if tag in INLINE else " "
        assert self.found.open and self.found.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.found.text += data


def parsed(path: Path) -> Parsed:
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    reader.found.text = " ".join(reader.found.text.split())
    return reader.found


def broken_links(folder: Path) -> list[str]:
    """The links of a site's pages that lead to no file, or to no id of a page."""
    pages = {path.resolve(): parsed(path) for path in sorted(folder.rglob("*.html"))}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            if link.startswith(("https://arxiv.org/abs/", "data:")):
                continue
            name, _, anchor = link.partition("#")
            target = (path.parent / name).resolve() if name else path
            if not target.is_file() or (anchor and anchor not in pages[target].ids):
                broken.append(f"{path.relative_to(folder.resolve())}: {link}")
    return broken
