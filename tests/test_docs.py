"""The documents say what is so: tables, links, targets and commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from intcc.cli import app
from intcc.support import markdown
from intcc.verification.static_analysis import DEVIATIONS, SUPPRESSIONS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_support_table_is_current() -> None:
    assert f"<!-- support -->\n{markdown()}<!-- /support -->" in README, "run make format"


def test_deviations_are_those_of_the_check() -> None:
    page = (ROOT / "docs/misra.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\w.]+) \| (.+) \|$", page, re.MULTILINE)
    listed = {name: reason for name, reason in rows if name in {**DEVIATIONS, **SUPPRESSIONS}}
    assert listed == {**DEVIATIONS, **SUPPRESSIONS}, "run make format"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_reach_files(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`?make ([a-z]+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_commands_exist() -> None:
    known = {command.name for command in app.registered_commands}
    assert set(re.findall(r"`intcc ([a-z]+)", README)) <= known
    assert known <= set(re.findall(r"intcc ([a-z]+)", README))


def test_pages_name_files_that_exist() -> None:
    pattern = re.compile(r"`((?:intcc|passes|backends|templates|tests)/[\w/.]+\.(?:py|j2))`")
    for page in PAGES:
        for name in pattern.findall(page.read_text(encoding="utf-8")):
            if "NAME" not in name:
                assert (ROOT / name).exists(), f"{page.name}: {name}"
