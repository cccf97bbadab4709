"""The source tree, the package list, the links and the templates agree."""

from __future__ import annotations

import tomllib
from pathlib import Path

import intcc

ROOT = Path(__file__).resolve().parent.parent
TABLE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]


def packages_on_disk() -> set[str]:
    found = set()
    for package, folder in TABLE["package-dir"].items():
        # rglob does not follow the links, so each package is seen once.
        for init in (ROOT / folder).rglob("__init__.py"):
            tail = init.parent.relative_to(ROOT / folder).parts
            found.add(".".join((package, *tail)))
    return found


def test_every_package_is_listed() -> None:
    assert packages_on_disk() == set(TABLE["packages"])


def test_links_are_relative_and_reach_their_folders() -> None:
    for package, folder in TABLE["package-dir"].items():
        if "." in package:
            link = ROOT / "intcc" / package.split(".")[1]
            assert link.is_symlink()
            assert not link.readlink().is_absolute()
            assert link.resolve() == ROOT / folder


def test_version_is_single_sourced() -> None:
    assert intcc.__version__
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert intcc.__version__ not in text.split("[project.optional-dependencies]")[0]


def test_folder_with_the_public_name_is_not_shadowed() -> None:
    from intcc import backends, passes, templates

    for module in (backends, passes, templates):
        assert module.__name__.startswith("intcc.")
