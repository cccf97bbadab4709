"""Lowering context: emits integer nodes, remembers forms, proves each node as it is made.

A float value becomes integers lazily, in the forms that its consumers ask for:

    ctx.narrow(value, role)   unsigned 8 bits with value.meta["forms"][role]
    ctx.wide(value)           int32 on the grid value.meta["unit"]

Each lowering rule registers a `Producer` that can make some of the forms natively; the others
are derived by Quantize (wide to narrow) and Widen (narrow to wide).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.errors import RangeProofError
from intcc.interval import Interval, Operand
from intcc.ops import OPERATORS
from intcc.ops.operator import OPSET_VERSION, Attribute
from intcc.passes.calibrate import Statistics
from intcc.passes.lowering.divisors import odd_divisor
from intcc.passes.quantize_weights import Metric
from intcc.qparams import QParams, Role
from intcc.sites import Demand, LinearSite, constant, demands, is_decoder, linear_sites

__all__ = ["Lowering", "Producer"]

Array = npt.NDArray[Any]
DIALECT = "ai.intcc"
#: Divisors from here on represent a scale to better than 0.05 %.
FINE = 1024


class Producer:
    """Makes the forms of one float value; override what is native."""

    #: The value exists in 8 bits before any other form: quantizing it again gains nothing.
    made_in_8_bits = False

    def __init__(self, ctx: Lowering, value: ir.Value, label: str) -> None:
        """Remember the context, the float value and the layer's label."""
        self.ctx, self.value, self.label = ctx, value, label

    @property
    def unit(self) -> float:
        """Grid of the wide form."""
        return float(self.value.meta["unit"])

    def form(self, role: Role) -> QParams:
        """Return the parameters of the narrow form for `role`."""
        forms: dict[Role, QParams] = self.value.meta["forms"]
        return forms[role]

    def native_roles(self) -> tuple[Role, ...]:
        """Return the roles that `make_narrow` makes without a wide form."""
        return ()

    def make_narrow(self, role: Role) -> ir.Value:
        """Emit the unsigned form; by default from the wide one."""
        return self.ctx.quantize(self.value, role)

    def make_wide(self) -> ir.Value:
        """Emit the int32 form; by default from a native narrow one."""
        role = self.native_roles()[0]
        form = self.form(role)
        mul = np.maximum(np.rint(form.scale / self.unit), 1)
        return self.ctx.emit(
            "Widen",
            [
                self.ctx.narrow(self.value, role),
                self.ctx.channels(form.zero),
                self.ctx.channels(mul),
            ],
            ir.DataType.INT32,
            self.value,
            scale=self.unit,
        )


class Lowering:
    """The integer graph under construction."""

    def __init__(
        self,
        model: ir.Model,
        statistics: Mapping[str, Statistics],
        max_length: int,
        *,
        compensation: bool = True,
        dynamic: bool = False,
        rope: str = "exact",
    ) -> None:
        """Start with an empty graph.

        Args:
            model: the SCALED graph.
            statistics: calibration figures, for error-compensated rounding.
            max_length: bound of the symbolic sequence dimension.
            compensation: round weights with error compensation.
            dynamic: quantize the inputs of linear layers per token at run time.
            rope: "phase" makes rotary tables of what integers alone can compute.
        """
        self.source, self.statistics, self.max_length = model, statistics, max_length
        self.compensation, self.dynamic, self.rope = compensation, dynamic, rope
        self.decoder = is_decoder(model.graph)
        self.sites: dict[str, LinearSite] = linear_sites(model.graph)
        self.demands: dict[str, Demand] = demands(model.graph)
        self.graph = ir.Graph(
            [], [], nodes=[], opset_imports={"": OPSET_VERSION, DIALECT: 1}, name="integer"
        )
        self.intervals: dict[str, Interval] = {}
        self.producers: dict[str, Producer] = {}
        self._dynamic: dict[str, list[ir.Value]] = {}
        self.moved: dict[ir.Node, list[ir.Value]] = {}
        self.label = ""
        #: Caches of each attention node of a decoder, before and after a call.
        self.pasts: dict[ir.Node, list[ir.Value]] = {}
        self.presents: dict[ir.Node, list[ir.Value]] = {}
        self.forms: dict[tuple[str, str], ir.Value] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}
        self._names: dict[str, int] = {}
        #: The newest metric of error compensation, and the value that it belongs to.
        self.metric: tuple[str, Metric] | None = None

    # -- values ---------------------------------------------------------------------------------

    def fresh(self, stem: str) -> str:
        """Return a name not used before."""
        count = self._names.get(stem, 0)
        self._names[stem] = count + 1
        return stem if count == 0 else f"{stem}.{count}"

    def const(self, array: Array, stem: str = "const", *, share: bool = True) -> ir.Value:
        """Return an initializer; equal constants are shared unless they may be changed later."""
        array = np.asarray(array, order="C")
        key = (array.dtype.str, array.shape, hashlib.sha256(array.data).digest())
        if share and key in self._constants:
            return self._constants[key]
        name = self.fresh(stem)
        tensor = ir.tensor(array, name=name)
        kind = ir.TensorType(tensor.dtype)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=kind, const_value=tensor)
        self.graph.register_initializer(value)
        if share:
            self._constants[key] = value
        return value

    def i32(self, array: Any, stem: str = "const", *, share: bool = True) -> ir.Value:
        """Return an int32 initializer of rounded numbers.

        Raises:
            RangeProofError: a number does not fit.
        """
        rounded = np.rint(np.asarray(array, np.float64))
        if np.abs(rounded).max(initial=0) >= 2.0**31:
            raise RangeProofError(
                f"Constant of {self.label or 'the graph'}",
                f"reaches {np.abs(rounded).max():.3g}, outside int32",
                "The layer's scales differ too much; report the model to us",
            )
        return self.const(rounded.astype(np.int32), stem, share=share)

    def channels(self, array: Any, stem: str = "const") -> ir.Value:
        """Return an int32 initializer of shape [C], or [1] where all channels agree."""
        vector = np.atleast_1d(np.asarray(array, np.float64))
        return self.i32(vector[:1] if (vector == vector[0]).all() else vector, stem)

    def scalar(self, number: int) -> ir.Value:
        """Return a rank-0 int32 initializer."""
        return self.const(np.asarray(number, np.int32))

    def operand(self, value: ir.Value) -> Operand:
        """Return what is known of an integer value."""
        if value.const_value is not None:
            return Operand.of_constant(value.const_value.numpy())
        return Operand(self.intervals[str(value.name)], self.extents(value))

    def extents(self, value: ir.Value) -> tuple[int, ...]:
        """Return the largest extent of every dimension."""
        assert value.shape is not None, f"{value.name} has no shape"
        return tuple(
            d if isinstance(d, int) else (1 if str(d) == "batch" else self.max_length)
            for d in value.shape
        )

    # -- nodes ----------------------------------------------------------------------------------

    def emit(
        self,
        kind: str,
        inputs: list[ir.Value],
        dtype: ir.DataType,
        like: ir.Value,
        *,
        scale: Any = None,
        suffix: str = "",
        shape: ir.Shape | None = None,
        attributes: Mapping[str, Attribute] | None = None,
    ) -> ir.Value:
        """Append an operator of the dialect and prove it; shape and name come from `like`."""
        outputs = [(dtype, like, scale, suffix, shape)]
        return self.emit_many(kind, inputs, outputs, attributes or {})[0]

    def emit_many(
        self,
        kind: str,
        inputs: list[ir.Value],
        outputs: Sequence[tuple[ir.DataType, ir.Value, Any, str, ir.Shape | None]],
        attributes: Mapping[str, Attribute] = MappingProxyType({}),
    ) -> list[ir.Value]:
        """Append an operator with several results."""
        made = [
            ir.Value(
                name=self.fresh(f"{like.name}{suffix}"),
                shape=shape if shape is not None else like.shape,
                type=ir.TensorType(dtype),
            )
            for dtype, like, _, suffix, shape in outputs
        ]
        given = ir.convenience.convert_attributes(attributes)
        name = self.fresh(f"{kind}_{made[0].name}")
        node = ir.Node(DIALECT, kind, inputs, given, outputs=made, name=name)
        node.metadata_props["intcc.layer"] = self.label
        try:
            proved = OPERATORS[kind].prove(*map(self.operand, inputs), **attributes)
        except RangeProofError as error:
            subject = f"{error.subject} (layer {self.label!r}, value {made[0].name!r})"
            raise RangeProofError(subject, error.fact, error.remedy) from None
        for value, interval, spec in zip(made, proved, outputs, strict=True):
            self.intervals[str(value.name)] = interval
            if spec[2] is not None:
                value.meta["scale"] = spec[2]
                value.metadata_props["intcc.float"] = str(spec[1].name)
        self.graph.append(node)
        return made

    def insert(self, node: ir.Node, result: ir.Value, source: ir.Value) -> None:
        """Append a node of integer movement whose result has the range of `source`."""
        node.name = self.fresh(f"{node.op_type}_{result.name}")
        node.metadata_props["intcc.layer"] = self.label
        self.intervals[str(result.name)] = self.operand(source).interval.scalar()
        self.graph.append(node)

    def move(self, node: ir.Node, inputs: list[ir.Value], dtype: ir.DataType) -> list[ir.Value]:
        """Append a copy of a data-movement node over integer inputs."""
        made = [
            ir.Value(name=self.fresh(str(v.name)), shape=v.shape, type=ir.TensorType(dtype))
            for v in node.outputs
        ]
        copy = ir.Node(
            "",
            node.op_type,
            inputs,
            attributes=list(node.attributes.values()),
            outputs=made,
            name=self.fresh(f"{node.op_type}_{made[0].name}"),
        )
        copy.metadata_props["intcc.layer"] = self.label
        hull = self.operand(inputs[0]).interval.scalar()
        if node.op_type == "Concat":
            for other in inputs[1:]:
                hull = hull.hull(self.operand(other).interval.scalar())
        for value in made:
            self.intervals[str(value.name)] = hull
        self.graph.append(copy)
        return made

    def integer(self, value: ir.Value) -> ir.Value:
        """Return the counterpart of a value that is an integer in the float graph already."""
        key = (str(value.name), "integer")
        if key not in self.forms:
            array = constant(value)
            if array is not None:
                self.forms[key] = self.const(array)
            else:
                node = value.producer()
                assert node is not None, f"input {value.name} is not registered"
                inputs = [self.integer(v) for v in node.inputs if v is not None]
                assert value.dtype is not None
                self.forms[key] = self.move(node, inputs, value.dtype)[value.index() or 0]
        return self.forms[key]

    def add_input(self, value: ir.Value, dtype: ir.DataType, interval: Interval) -> ir.Value:
        """Declare a model input of the same name and shape."""
        made = ir.Value(
            name=self.fresh(str(value.name)), shape=value.shape, type=ir.TensorType(dtype)
        )
        self.graph.inputs.append(made)
        self.intervals[str(made.name)] = interval
        self.forms[(str(value.name), "integer")] = made
        return made

    def key_mask(self, name: str) -> ir.Value:
        """Return the score addend of a [batch, sequence] mask input, made once."""
        key = (name, "key_mask")
        if key not in self.forms:
            mask = self.forms[(name, "integer")]
            shape = ir.Shape(["batch", 1, 1, "sequence"])
            self.forms[key] = self.emit(
                "KeyMask", [mask], ir.DataType.INT32, mask, suffix=".key_mask", shape=shape
            )
        return self.forms[key]

    # -- forms ----------------------------------------------------------------------------------

    def wide(self, value: ir.Value) -> ir.Value:
        """Return the int32 form of a float value on its grid; constants are rounded."""
        key = (str(value.name), "wide")
        if key not in self.forms:
            array = constant(value)
            if array is not None:
                stem = f"{value.name}.q"
                self.forms[key] = self.i32(array / float(value.meta["unit"]), stem)
            else:
                producer = self.producers[str(value.name)]
                outer, self.label = self.label, producer.label
                self.forms[key] = producer.make_wide()
                self.label = outer
        return self.forms[key]

    def narrow(self, value: ir.Value, role: Role) -> ir.Value:
        """Return the unsigned form of a float value for `role`."""
        key = (str(value.name), role)
        if key not in self.forms:
            producer = self.producers[str(value.name)]
            outer, self.label = self.label, producer.label
            native = role in producer.native_roles()
            self.forms[key] = producer.make_narrow(role) if native else self.quantize(value, role)
            self.label = outer
        return self.forms[key]

    def demand(self, value: ir.Value, role: Role) -> None:
        """Emit the form of `value` for `role`, static or per token."""
        static = not self.dynamic or self.producers[str(value.name)].made_in_8_bits
        if role is Role.LINEAR and not static:
            self.dynamic_form(value)
        else:
            self.narrow(value, role)

    def dynamic_form(self, value: ir.Value) -> tuple[list[ir.Value], QParams]:
        """Return q, m, k of a value quantized per token, and the channel factors in use.

        The factors (smoothing, normalised to at least one) divide the channels first, so that
        no channel grows; the consumers' weights absorb them.
        """
        form: QParams = value.meta["forms"][Role.LINEAR]
        width = self.extents(value)[-1]
        factors = np.broadcast_to(form.scale / form.scale.min(), (width,))
        key = str(value.name)
        if key not in self._dynamic:
            x = self.wide(value)
            if (factors > 1).any():
                bounds = [self.scalar(-(2**31) + 1), self.scalar(2**31 - 1)]
                mul = np.rint(2.0**24 / factors).astype(np.int64)
                inputs = [x, self.const(mul), self.const(np.asarray(24, np.int64)), *bounds]
                x = self.emit("Rescale", inputs, ir.DataType.INT32, value, suffix=".smooth")
            self._dynamic[key] = self.quantize_rows(x, value)
        return self._dynamic[key], QParams.of(factors, 128)

    def quantize_rows(self, x: ir.Value, like: ir.Value) -> list[ir.Value]:
        """Emit codes, mantissas and exponents of the rows of a wide value."""
        assert like.shape is not None
        rows, i32 = ir.Shape([*like.shape[:-1], 1]), ir.DataType.INT32
        outputs = [
            (ir.DataType.UINT8, like, None, ".codes", None),
            (i32, like, None, ".mantissa", rows),
            (i32, like, None, ".exponent", rows),
        ]
        return self.emit_many("DynamicQuantize", [x], outputs)

    def quantize(self, value: ir.Value, role: Role) -> ir.Value:
        """Derive the unsigned form from the wide one: round(x * unit / scale) + zero."""
        form: QParams = value.meta["forms"][role]
        x, unit = self.wide(value), float(value.meta["unit"])
        ratio = form.scale / unit
        room = math.log2(2.0**30 / max(self.intervals[str(x.name)].magnitude, 1))
        lift = max(0, min(math.ceil(math.log2(FINE / float(ratio.min()))), math.floor(room)))
        divisor = odd_divisor(ratio * 2.0**lift)
        bias = form.zero * divisor + (divisor - 1) // 2
        inputs = [
            x,
            self.channels(2**lift),
            self.channels(bias),
            self.channels(divisor),
            self.scalar(form.lo),
            self.scalar(form.hi),
        ]
        return self.emit(
            "Quantize", inputs, ir.DataType.UINT8, value, scale=form, suffix=f".{role}"
        )
