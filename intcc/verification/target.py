"""Checks of an artifact's C for one machine: what its compiler, its objects and analysers say."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType

from intcc.backends.c.target import Target
from intcc.objects import Objects, build, call_graph, model_sources
from intcc.objects.callgraph import FLAGS, parse
from intcc.runtime.artifact import Artifact
from intcc.runtime.compiler import STRICT_FLAGS, find_compiler
from intcc.toolchain import call, find_tools
from intcc.verification import constant_ranges, static_analysis
from intcc.verification.float_objects import float_instructions, float_routines
from intcc.verification.report import FailedError, SkippedError

__all__ = ["TargetChecks"]

WARNINGS = (*STRICT_FLAGS, "-Wsign-conversion", "-Wmissing-prototypes", "-Wvla")
SANITIZERS = ("-g1", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
HEAP = frozenset(
    "malloc calloc realloc free aligned_alloc posix_memalign strdup _malloc_r _sbrk sbrk".split()
)
#: Letters of nm for data that can be written.
_WRITABLE = frozenset("bBdDsSgGC")


class TargetChecks:
    """The checks, which share one compilation. A context: it removes its objects at the end."""

    def __init__(self, artifact: Artifact, target: Target) -> None:
        """Prepare; nothing is compiled yet."""
        self.artifact, self.target = artifact, target
        self.sources = model_sources(artifact.c_folder)
        self._scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self._scratch.name)

    def __enter__(self) -> TargetChecks:
        """Return the checks."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the objects."""
        self._scratch.cleanup()

    def all(self) -> list[tuple[str, Callable[[], str]]]:
        """Return the checks, in the order they run, with their titles."""
        on = f"for {self.target.name}"
        return [
            (f"C compiles {on} without a warning", self.warnings),
            (f"objects {on} free of float", self.floats),
            (f"objects {on} free of heap and writable data", self.memory),
            (f"stack {on} bounded", self.stack),
            ("cppcheck", self.cppcheck),
            ("MISRA C:2012", self.misra),
            ("C self-test under sanitizers", self.sanitizers),
            ("ranges proved from the C's own constants", self.constants),
        ]

    @cached_property
    def objects(self) -> Objects:
        """The model's objects."""
        return build(self.sources, find_tools(self.target), self.folder / "objects", *FLAGS)

    @property
    def code(self) -> list[Path]:
        """The sources with functions: analysers take minutes over constant data."""
        return [s for s in self.sources if not s.stem.endswith(("_weights", "_tables"))]

    def warnings(self) -> str:
        """No warning, by a longer list than the artifact's own Makefile has."""
        tools = find_tools(self.target)
        build(self.sources, tools, self.folder / "strict", *WARNINGS)
        return f"{len(self.sources)} files, {Path(tools.compiler).name} {' '.join(tools.flags)}"

    def floats(self) -> str:
        """No routine and no instruction of floating point."""
        tools = self.objects.tools
        routines = float_routines(self.objects.needed())
        _none("calls", routines)
        machine = call([tools.compiler, *tools.flags, "-dumpmachine"]).strip()
        code = parse(self.objects.disassembly())
        _none("uses", list(float_instructions(machine, code)))
        done = f"{len(code):,} instructions"
        if machine.startswith("aarch64") and not tools.is_clang:
            build(self.sources, tools, self.folder / "general", "-mgeneral-regs-only")
            done += ", and compiles with -mgeneral-regs-only"
        return done

    def memory(self) -> str:
        """No allocation, and nothing that one call could leave to the next."""
        symbols = self.objects.symbols()
        _none("calls", sorted(HEAP & set(symbols)))
        _none("can write", sorted(n for n, letters in symbols.items() if letters & _WRITABLE))
        writable = self.objects.sizes().writable
        if writable:
            raise FailedError(f"{writable:,} bytes of writable data")
        return f"{self.objects.sizes().flash:,} bytes of code and constants"

    def stack(self) -> str:
        """No recursion, no call through a pointer but the caller's, no frame of variable size."""
        graph = call_graph(self.objects)
        _none("has a frame of variable size", graph.unbounded)
        _none("calls from elsewhere", graph.foreign())
        # Calls through pointers hide among jumps unless every call is one.
        plain = (*FLAGS, "-fno-optimize-sibling-calls")
        whole = build(self.sources, self.objects.tools, self.folder / "calls", *plain)
        # The caller's own function shares a run among threads.
        name = self.artifact.name
        hooks = {
            f"{name}_run_{s}" for s in ("parallel", *(k.name for k in self.target.sets), "any")
        }
        _none("calls through a pointer", [f for f in call_graph(whole).indirect if f not in hooks])
        depth, path = graph.deepest()
        return f"{depth:,} bytes: {' -> '.join(path)}"

    def cppcheck(self) -> str:
        """Nothing but what docs/misra.md lists."""
        _none("has", static_analysis.analyse(self.code))
        return f"{len(self.code)} files"

    def misra(self) -> str:
        """No violation but of rules whose deviation docs/misra.md justifies."""
        deviations, others = static_analysis.misra(self.code)
        _none("violates", others)
        total = sum(deviations.values())
        return f"{total:,} deviations from {len(deviations)} rules that docs/misra.md justifies"

    def sanitizers(self) -> str:
        """The self-test on this machine, with every access and every operation watched."""
        name = self.artifact.name
        selftest = self.artifact.c_folder / f"{name}_selftest.c"
        if not selftest.is_file():
            raise SkippedError("the artifact has no self-test")
        program = self.folder / "sanitized"
        source = program.with_suffix(".c")
        source.write_text(_SELFTEST.format(name=name, upper=name.upper()), encoding="utf-8")
        files = map(str, (source, selftest, *self.sources))
        include = ("-I", str(self.artifact.c_folder))
        call([find_compiler(), "-std=c99", *SANITIZERS, *include, *files, "-o", str(program)])
        call([program])
        return "address and undefined behaviour"

    def constants(self) -> str:
        """Worst sums and products from weights, biases and multipliers as C has them."""
        proved = constant_ranges.prove(self.artifact.c_folder, self.artifact.name)
        return f"{proved.calls} products, {proved.columns:,} columns"


#: Runs the self-test in memory that ends where the arena ends.
_SELFTEST = """\
#include <stdlib.h>
#include "{name}.h"

int main(void)
{{
    void *const arena = malloc({upper}_SELFTEST_BYTES);
    const int status = arena == NULL ? 100 : {name}_selftest(arena);

    free(arena);
    return status;
}}
"""


def _none(verb: str, found: Sequence[str]) -> None:
    """Fail where something was found."""
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise FailedError(f"{verb} {', '.join(found[:3])}{more}")
