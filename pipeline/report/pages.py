"""Fill the page templates: bilingual pages in one file, which work from a folder and fetch nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"


def page(template: str, **context: Any) -> str:
    """Return a page.

    Parameters
    ----------
    template : str
        A file of ``pipeline/report/templates``.
    **context
        Names the template uses; one that is missing is an error, and every text is escaped.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(context)
