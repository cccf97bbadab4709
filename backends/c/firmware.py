"""Firmware: the files that take the folder of C into a build system.

    Makefile, CMakeLists.txt                        any machine
    zephyr/module.yml, CMakeLists.txt, Kconfig      Zephyr module
    idf_component.yml                               ESP-IDF component, with the same CMakeLists.txt
    library.json                                    PlatformIO library
    library.properties                              Arduino library, flat layout
    README.md                                       how to use each

All of them compile the same sources where they lie; examples/ is no library's part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from intcc._version import __version__
from intcc.backends.c.render import render

__all__ = ["ARCHITECTURES", "firmware_files", "release", "semantic_version"]

_FILES = (
    "Makefile",
    "CMakeLists.txt",
    "README.md",
    "idf_component.yml",
    "library.json",
    "library.properties",
    "zephyr/module.yml",
    "zephyr/CMakeLists.txt",
    "zephyr/Kconfig",
)
#: Arduino's cores whose int has 32 bits: offsets into the arena are of type int.
ARCHITECTURES = tuple(
    "esp32 esp8266 mbed mbed_edge mbed_giga mbed_nano mbed_nicla mbed_opta mbed_portenta "
    "mbed_rp2040 nrf52 renesas_portenta renesas_uno rp2040 sam samd stm32 zephyr".split()
)


def release(version: str) -> str:
    """Return major.minor.patch of a Python version."""
    return _parts(version)[0]


def semantic_version(version: str) -> str:
    """Return a Python version in the form of semver.org: 0.2.0.dev3 is 0.2.0-dev3."""
    numbers, rest = _parts(version)
    return f"{numbers}-{rest}" if rest else numbers


def _parts(version: str) -> tuple[str, str]:
    """Return the first three numbers, and the words behind them."""
    found = re.match(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?(.*)", version)
    assert found is not None, version
    *numbers, rest = found.groups("0")
    return ".".join(numbers), ".".join(re.findall(r"[0-9A-Za-z]+", rest))


def firmware_files(context: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of every file by its path in the folder.

    Args:
        context: what the model's own templates show; `sources` and `headers` are those beside the
            model's own.
    """
    name = context["name"]
    own = ["", "_weights", *(["_selftest"] if context["selftest"] else [])]
    more = {
        "sources": [*(f"{name}{part}.c" for part in own), *context["sources"]],
        "headers": [f"{name}.h", f"{name}_memory.h", *context["headers"]],
        "companions": context["headers"],
        "release": release(__version__),
        "semver": semantic_version(__version__),
        "architectures": ARCHITECTURES,
    }
    return {path: render(path, {**context, **more}, "firmware") for path in _FILES}
