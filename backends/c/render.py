"""Render templates: one environment, strict about names, no logic but loops and conditions."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jinja2

from intcc.backends.c.literals import integer
from intcc.backends.c.program import Kernel

__all__ = ["render", "render_kernel"]


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("intcc.templates", "c"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["integer"] = integer
    return environment


def render(template: str, parameters: Mapping[str, Any]) -> str:
    """Return the text of templates/c/`template`.j2."""
    return _environment().get_template(f"{template}.j2").render(**parameters)


def render_kernel(kernel: Kernel) -> str:
    """Return the C function of a kernel."""
    return render(f"{kernel.template}.c", {"name": kernel.name, **kernel.parameters}).strip("\n")
