"""Render templates: one environment, strict about names, no logic but loops and conditions."""

from __future__ import annotations

import functools
import re
import textwrap
from collections.abc import Mapping
from typing import Any

import jinja2

from intcc.backends.c.literals import integer
from intcc.backends.c.program import Kernel

__all__ = ["COLUMNS", "render", "render_kernel", "tidy"]

#: Longest line of generated C.
COLUMNS = 100


@functools.cache
def _environment(folder: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("intcc.templates", folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["integer"] = integer
    return environment


#: Where a statement may be broken: after a comma, before an operator.
_BREAKS = re.compile(r"(?<=,) | (?=[+?:] |\|\| |&& )")


def _wrapped(lead: str, body: str, hang: str) -> list[str]:
    return textwrap.wrap(
        body,
        COLUMNS,
        initial_indent=lead,
        subsequent_indent=hang,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _comment(lines: list[str]) -> list[str]:
    lead = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    return _wrapped(lead, " ".join(line.strip() for line in lines), lead + "   ")


def _statement(lines: list[str]) -> list[str]:
    lead = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    body = " ".join(line.strip() for line in lines)
    glued = "\n".join(part.replace(" ", "\xa0") for part in _BREAKS.split(body))
    return [line.replace("\xa0", " ") for line in _wrapped(lead, glued, lead + "    ")]


def tidy(text: str) -> str:
    """Break what templates made too long: comments, function heads, statements."""
    made: list[str] = []
    block: list[str] = []
    for line in text.splitlines():
        block.append(line)
        first = block[0].lstrip()
        if first.startswith("/*"):
            if "*/" in line:
                made += _comment(block)
                block = []
        elif first.startswith("static ") and not block[0].startswith(" "):
            if line.endswith((")", ";")):
                made += _statement(block)
                block = []
        else:
            made += _statement(block) if len(line) > COLUMNS else block
            block = []
    return "\n".join([*made, *block]) + "\n"


def render(template: str, parameters: Mapping[str, Any], folder: str = "c") -> str:
    """Return the text of templates/`folder`/`template`.j2."""
    return _environment(folder).get_template(f"{template}.j2").render(**parameters)


def render_kernel(kernel: Kernel, machine: Mapping[str, str]) -> str:
    """Return the C function of a kernel, in the machine's own form where it has one."""
    template = machine.get(kernel.template, kernel.template)
    text = render(f"{template}.c", {"name": kernel.name, **kernel.parameters})
    return tidy(text).strip("\n")
