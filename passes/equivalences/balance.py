"""Balance: divide channels that are too large where they arise, and multiply where they are read.

    x @ W  =  (x / s) @ (s * W)              norm -> linear, up -> down, values -> output
    q . k  =  (q * s) . (k / s)              per channel, equal for both channels of a rotated pair

A row that is quantized with one scale of its own loses what is far below its largest element, so
channels should be of one size; SmoothQuant (Xiao et al., 2023) trades that against the size of the
weights, I-LLM (Hu et al., 2024) does so for every pair of layers of a block. Here the strength of
each trade is searched on calibration rows, with the quantization that the integers will do.

Exactness  function-preserving up to float32 rounding.
Order      between two calibrations: the first finds the sizes, the second sees the result.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from intcc.passes.calibrate import Statistics
from intcc.passes.equivalences.smooth import divisors, search_rows, without_quiet
from intcc.passes.equivalences.sources import Source, find_source, rewrite
from intcc.sites import LinearSite, constant, linear_sites

__all__ = ["balance"]

Float = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
#: Share of the trade that queries take over from keys.
KEY_STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


def balance(model: ir.Model, statistics: Mapping[str, Statistics]) -> int:
    """Rescale channels in place; return the number of places where that helped.

    Args:
        model: canonical float graph of a decoder.
        statistics: a calibration of it, with rows of the inputs of linear layers.
    """
    sites = linear_sites(model.graph)
    readers: dict[str, list[LinearSite]] = defaultdict(list)
    for site in sites.values():
        readers[str(site.x.name)].append(site)
    changed = 0
    for consumers in readers.values():
        changed += _balance_linear(consumers, sites, statistics)
    for node in model.graph:
        if node.op_type == "CausalAttention":
            changed += _balance_keys(node, sites, statistics)
    return changed


def _balance_linear(
    consumers: list[LinearSite],
    sites: dict[str, LinearSite],
    statistics: Mapping[str, Statistics],
) -> bool:
    """Divide the input of linear layers, where all its readers are linear layers."""
    x = consumers[0].x
    if len(x.uses()) != len(consumers) or x.is_graph_output():
        return False
    if any(site.ternary or len(site.stored.uses()) > 1 for site in consumers):
        return False
    record = statistics.get(str(x.name))
    source = find_source(x, sites)
    if source is None or record is None or source.ties.size:
        return False
    x.meta["balanced"] = True
    index = source.index.reshape(-1)
    rows, size = record.rows, np.maximum(-record.low, record.high)
    if rows.shape[1:] != index.shape or not size.max() > 0:
        return False
    weight = np.concatenate([np.asarray(constant(s.stored)) for s in consumers], axis=1)
    used, slot = np.unique(index, return_inverse=True)
    amax, wmax = (_largest(figure, slot) for figure in (size, np.abs(weight).max(1)))
    amax = without_quiet(amax)
    choices = [divisors(amax, wmax, strength) for strength in STRENGTHS]
    found = search_rows(rows, weight, [choice[slot] for choice in choices])
    if found == 0:
        return False
    factors = np.ones(source.width)
    factors[used] = choices[found]
    source.divide(factors)
    for site in consumers:
        scaled = site.weight
        scaled *= factors[index][:, None]
        rewrite(site.stored, scaled)
    return True


#: Strengths that are tried; the first one changes nothing.
STRENGTHS = (0.0, 0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def _largest(figure: Float, slot: Index) -> Float:
    """Return the largest figure of each slot."""
    result = np.zeros(int(slot.max()) + 1)
    np.maximum.at(result, slot, figure)
    return result


def _balance_keys(
    node: ir.Node, sites: dict[str, LinearSite], statistics: Mapping[str, Statistics]
) -> bool:
    """Divide keys and multiply queries."""
    queries, keys = (_sole_source(node.inputs[i], sites) for i in (0, 1))
    if queries is None or keys is None:
        return False
    if queries.value is keys.value and np.intersect1d(queries.index, keys.index).size:
        return False
    records = [statistics.get(str(s.value.name)) for s in (queries, keys)]
    if records[0] is None or records[1] is None:
        return False
    q_rms = np.sqrt(records[0].squares / max(records[0].count, 1))
    k_max = np.maximum(-records[1].low, records[1].high)
    if q_rms.shape != (queries.width,) or k_max.shape != (keys.width,):
        return False
    q_group, k_group = _groups(queries, keys)
    q_size, k_size = (
        _largest(q_rms[queries.index].ravel(), q_group),
        _largest(k_max[keys.index].ravel(), k_group),
    )
    per_head = k_group.reshape(keys.index.shape)
    best, best_error = 0.0, np.inf
    for strength in KEY_STRENGTHS:
        s = divisors(k_size, q_size, strength) if strength else np.ones(len(k_size))
        step = (k_size / s)[per_head].max(-1, keepdims=True)
        error = float((step**2 * (q_size * s)[per_head] ** 2).sum())
        if error < 0.9 * best_error:
            best, best_error = strength, error
    if best == 0.0:
        return False
    s = divisors(k_size, q_size, best)
    for source, factors in ((keys, s[k_group]), (queries, 1 / s[q_group])):
        spread = np.ones(source.width)
        spread[source.index.ravel()] = factors
        source.divide(spread)
    return True


def _sole_source(value: ir.Value | None, sites: dict[str, LinearSite]) -> Source | None:
    if value is None or len(value.uses()) != 1 or value.is_graph_output():
        return None
    found = find_source(value, sites)
    return found if found is not None and found.index.ndim == 2 else None


def _groups(queries: Source, keys: Source) -> tuple[Index, Index]:
    """Number the sets of channels that must share one factor: of each query and key element.

    Channel (h, d) of the queries meets channel (h // ratio, d) of the keys; rotations tie channels
    of one source.
    """
    ratio = queries.index.shape[0] // keys.index.shape[0]
    offset = queries.width
    meets = np.stack(
        [queries.index, np.repeat(keys.index, ratio, axis=0) + offset], axis=-1
    ).reshape(-1, 2)
    links = np.concatenate([meets, queries.ties, keys.ties + offset])
    label = np.arange(offset + keys.width)
    while True:
        lowest = label.copy()
        np.minimum.at(lowest, links[:, 0], label[links[:, 1]])
        np.minimum.at(lowest, links[:, 1], label[links[:, 0]])
        if (lowest == label).all():
            break
        label = lowest
    elements = np.concatenate([queries.index.ravel(), keys.index.ravel() + offset])
    number = np.unique(label[elements], return_inverse=True)[1].astype(np.int64)
    return number[: queries.index.size], number[queries.index.size :]
