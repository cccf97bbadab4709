"""The folder of C in build systems: built where the tools are here, manifests read elsewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from intcc import __version__
from intcc.backends.c.firmware import ARCHITECTURES, release, semantic_version
from intcc.backends.c.generator import Generation
from tests.c.cases_cache import decoder
from tests.c.encoder import encoder

#: The pattern that semver.org recommends, without build metadata.
SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
)
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")


@pytest.fixture(scope="module", params=["tiny", "decoder"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the C of an encoder and of a text generator, in a folder of the model's name."""
    made = tmp_path_factory.mktemp("firmware") / str(request.param)
    if request.param == "tiny":
        encoder().emit(made)
    else:
        bench = decoder()
        bench.model.metadata_props["intcc.task"] = "text-generation"
        bench.emit(made, chunk=4, generation=Generation(end_tokens=(2, 3), begin_token=1))
    return made


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stderr.lower(), done.stderr
    return done.stdout


def block(folder: Path, heading: str, language: str) -> str:
    """Return a code block of the README, the first of a language under a heading."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    part = text.split(f"### {heading}\n")[1].split("\n### ")[0]
    return part.split(f"```{language}\n")[1].split("```")[0]


def sources(folder: Path) -> set[str]:
    return {p.name for p in folder.glob("*.c")}


@needs_cmake
def test_cmake_alone_and_installed(folder: Path, tmp_path: Path) -> None:
    name, build, prefix = folder.name, tmp_path / "build", tmp_path / "prefix"
    run("cmake", "-S", folder, "-B", build, f"-DCMAKE_INSTALL_PREFIX={prefix}")
    run("cmake", "--build", build)
    assert "100% tests passed" in run("ctest", "--test-dir", build)
    run("cmake", "--install", build)
    assert {p.name for p in prefix.rglob("*.h")} >= {f"{name}.h", f"{name}_memory.h"}
    assert not list(prefix.rglob("*_kernels.h")), "private headers stay at home"
    user = tmp_path / "user"
    project(user, folder, f"find_package(intcc_{name} REQUIRED)")
    run("cmake", "-S", user, "-B", user / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", user / "build")
    run(user / "build/app")


def project(user: Path, folder: Path, finding: str) -> None:
    """Write a project around the README's lines."""
    user.mkdir()
    lines = block(folder, "CMake", "cmake").splitlines()
    assert finding in lines[0]
    text = ["cmake_minimum_required(VERSION 3.13)", "project(app C)", "enable_testing()",
            "add_executable(app main.c)", finding, *lines[1:], ""]  # fmt: skip
    (user / "CMakeLists.txt").write_text("\n".join(text), encoding="utf-8")
    (user / "main.c").write_text(block(folder, "CMake", "c"), encoding="utf-8")


@needs_cmake
def test_cmake_in_another_project(folder: Path, tmp_path: Path) -> None:
    user = tmp_path / "user"
    project(user, folder, f"add_subdirectory({folder.name})")
    shutil.copytree(folder, user / folder.name)
    run("cmake", "-S", user, "-B", user / "build")
    run("cmake", "--build", user / "build")
    run(user / "build/app")
    listed = run("ctest", "--test-dir", user / "build", "-N")
    assert "Total Tests: 0" in listed, "tests and examples are the folder's own affair"
    assert not list((user / "build").rglob("main")) and not list((user / "build").rglob("examples"))


def test_make_in_another_project(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / folder.name)
    (tmp_path / "Makefile").write_text(block(folder, "Make", "make"), encoding="utf-8")
    (tmp_path / "main.c").write_text(block(folder, "CMake", "c"), encoding="utf-8")
    run("make", "CFLAGS=-O1 -Werror", cwd=tmp_path)
    run(tmp_path / "app")


def test_make_alone(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "c")
    assert "selftest: passed\n" in run("make", "-C", copy, "CFLAGS=-O1 -Werror", "test")
    run("make", "-C", copy, "clean")
    files = {p.relative_to(copy) for p in copy.rglob("*")}
    assert files == {p.relative_to(folder) for p in folder.rglob("*")}


@needs_cmake
def test_idf_registers_all_sources(folder: Path, tmp_path: Path) -> None:
    """The same CMakeLists.txt under ESP-IDF, whose scripts first read it without a project."""
    script = tmp_path / "idf.cmake"
    script.write_text(
        "set(ESP_PLATFORM 1)\nmacro(idf_component_register)\n"
        '  message(STATUS "register ${ARGN}")\nendmacro()\n'
        f'function(component)\n  include("{folder}/CMakeLists.txt")\nendfunction()\ncomponent()\n',
        encoding="utf-8",
    )
    words = run("cmake", "-P", script).split("register ")[1].strip().split(";")
    given = dict(zip(("SRCS", "INCLUDE_DIRS"), (words[1:-2], words[-1:]), strict=True))
    assert words[0] == "SRCS" and words[-2] == "INCLUDE_DIRS"
    assert set(given["SRCS"]) == sources(folder) and given["INCLUDE_DIRS"] == ["."]
    manifest = yaml.safe_load((folder / "idf_component.yml").read_text(encoding="utf-8"))
    assert set(manifest) <= {"version", "description", "dependencies"}
    assert SEMVER.fullmatch(manifest["version"]) and manifest["description"]
    assert manifest["dependencies"] == {"idf": ">=4.4"}
    assert f"REQUIRES {folder.name})" in block(folder, "ESP-IDF", "cmake")


@needs_cmake
def test_zephyr_module(folder: Path, tmp_path: Path) -> None:
    module = yaml.safe_load((folder / "zephyr/module.yml").read_text(encoding="utf-8"))
    assert set(module) == {"name", "build"} and set(module["build"]) == {"cmake", "kconfig"}
    assert re.fullmatch(r"[a-zA-Z0-9_]+", module["name"])
    assert (folder / module["build"]["cmake"] / "CMakeLists.txt").is_file()
    kconfig = (folder / module["build"]["kconfig"]).read_text(encoding="utf-8")
    option = re.match(
        r"config (INTCC_[A-Z0-9_]+)\n\tbool \"[^\"]+\"\n\thelp\n(\t  .+\n)+$", kconfig
    )
    assert option is not None, kconfig
    assert f"CONFIG_{option[1]}=y\n" in block(folder, "Zephyr", "ini")
    script = tmp_path / "zephyr.cmake"
    names = ("zephyr_library_named", "zephyr_library_sources", "zephyr_include_directories")
    script.write_text(
        "".join(f'function({n})\n  message(STATUS "{n} ${{ARGN}}")\nendfunction()\n' for n in names)
        + f'include("{folder}/zephyr/CMakeLists.txt")\n',
        encoding="utf-8",
    )
    assert run("cmake", "-P", script) == "", "nothing without its option"
    lines = run("cmake", f"-DCONFIG_{option[1]}=y", "-P", script).splitlines()
    told = {line.split()[1]: line.split()[2].split(";") for line in lines}
    assert set(told) == set(names)
    assert {Path(p).resolve() for p in told[names[1]]} == {folder / s for s in sources(folder)}
    assert [Path(p).resolve() for p in told[names[2]]] == [folder]


def test_platformio_library(folder: Path) -> None:
    manifest: dict[str, Any] = json.loads((folder / "library.json").read_text(encoding="utf-8"))
    assert SEMVER.fullmatch(manifest["version"])
    assert re.fullmatch(r"[^:;/,@<>]{1,100}", manifest["name"])
    assert 0 < len(manifest["description"]) <= 255
    assert all(re.fullmatch(r"[a-z\d\-+. ]{1,50}", word) for word in manifest["keywords"])
    assert manifest["frameworks"] == manifest["platforms"] == "*"
    assert (folder / manifest["headers"]).is_file()
    assert manifest["build"] == {"srcFilter": ["+<*.c>"]}
    known = {"$schema", "name", "version", "description", "keywords", "frameworks", "platforms",
             "headers", "build"}  # fmt: skip
    assert set(manifest) == known


def test_arduino_library(folder: Path) -> None:
    text = (folder / "library.properties").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    fields = dict(line.split("=", 1) for line in lines)
    assert all(fields.values()) and len(fields) == len(lines)
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category",
                "url", "architectures"}  # fmt: skip
    assert set(fields) == required | {"includes", "dot_a_linkage"}
    assert re.fullmatch(r"[A-Za-z0-9][\w .-]{0,62}", fields["name"])
    assert SEMVER.fullmatch(fields["version"])
    assert fields["category"] in {
        "Display", "Communication", "Signal Input/Output", "Sensors", "Device Control", "Timing",
        "Data Storage", "Data Processing", "Other",
    }  # fmt: skip
    assert fields["architectures"].split(",") == list(ARCHITECTURES)
    assert (folder / fields["includes"]).is_file() and fields["dot_a_linkage"] == "true"
    # A flat library: what lies in the root or in utility/ is compiled, examples/ is not.
    assert not (folder / "src").exists() and not (folder / "utility").exists()
    assert not any(
        re.search(r"\bint main\(", (folder / s).read_text("utf-8")) for s in sources(folder)
    )


@pytest.mark.parametrize("heading", ["ESP-IDF", "Arduino"])
def test_programs_of_frameworks_compile(folder: Path, tmp_path: Path, heading: str) -> None:
    """Against a stub of the framework: what the README shows is whole C or C++."""
    stub = "struct { void begin(long) {} void println(int) {} } Serial;\n"
    language, suffix, before = {
        "ESP-IDF": ("c", "c", "void app_main(void);\n"),
        "Arduino": ("cpp", "cpp", stub),
    }[heading]
    program = tmp_path / f"main.{suffix}"
    program.write_text(before + block(folder, heading, language), encoding="utf-8")
    compiler = "gcc" if suffix == "c" else "g++"
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    run(compiler, "-Wall", "-Wextra", "-Werror", f"-I{folder}", "-c", program, "-o", tmp_path / "o")


@pytest.mark.parametrize(
    ("version", "semantic"),
    [
        ("0.1.0", "0.1.0"),
        ("1.2", "1.2.0"),
        ("3", "3.0.0"),
        ("1.2.3.4", "1.2.3-4"),
        ("0.2.0.dev3", "0.2.0-dev3"),
        ("1.0rc1", "1.0.0-rc1"),
        ("1.0.0.post1+local.7", "1.0.0-post1.local.7"),
    ],
)
def test_versions_become_semantic_ones(version: str, semantic: str) -> None:
    assert semantic_version(version) == semantic
    assert SEMVER.fullmatch(semantic)
    assert release(version) == semantic.split("-")[0]


def test_manifests_carry_the_version(folder: Path) -> None:
    for file in ("library.json", "library.properties", "idf_component.yml", "CMakeLists.txt"):
        assert semantic_version(__version__) in (folder / file).read_text(encoding="utf-8")
