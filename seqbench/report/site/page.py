"""A page: where it lies, its template and what the template is given; and the templates' environment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from seqbench.report.site import wording
from seqbench.report.site.docstrings import ARXIV

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Page:
    """`path` is below the site's folder, with `/`; `section` is the one of the site's navigation."""

    path: str
    template: str
    title: str
    section: str
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def root(self) -> str:
        """What leads from the page to the site's folder, since a site may be opened from a disk."""
        return "../" * self.path.count("/")


def environment() -> Environment:
    """Everything is escaped, and a name that a template misspells is an error."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "number": wording.number,
        "duration": wording.duration,
        "setting": wording.setting,
        "plural": wording.plural,
        "cited": cited,
        "prose": prose,
        "broken": broken,
    }
    return found


def render(page: Page, templates: Environment) -> str:
    return templates.get_template(page.template).render(page=page, root=page.root, **page.values)


def cited(text: str) -> Markup:
    """Numbers of arXiv as links."""
    return Markup(ARXIV.sub(r'<a href="https://arxiv.org/abs/\1">\1</a>', str(escape(text))))


def prose(text: str) -> Markup:
    """A docstring's sentence: `code` as code, and numbers of arXiv as links."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(cited(text))))


def broken(path: str) -> Markup:
    """A long name that a narrow screen may break after a dot, a slash or an underscore."""
    return Markup(re.sub(r"([./_])", r"\1<wbr>", str(escape(path))))
