"""OpenVINO: a float model, NNCF's post-training quantization of it, or a model with Q and DQ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from engines import timing


class Encoder(timing.Encoder):
    """A sentence encoder, compiled for every length, or for one."""

    def __init__(
        self,
        model: str,
        calibration: str | None = None,
        smooth: bool = True,
        length: int | None = None,
        threads: int = 1,
        quantized: bool = False,
    ) -> None:
        """Compile it; with `calibration`, a file of token ids, quantize it first.

        NNCF's default smooths activations; without, its results are closer to the float model.
        A model that is `quantized` already runs with the options that NNCF's model runs with.
        """
        import openvino

        core = openvino.Core()
        options = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
        if calibration is not None:
            model = str(self._quantized(core, Path(model), Path(calibration), smooth))
        elif not quantized:  # or bfloat16 where the processor has it
            options["INFERENCE_PRECISION_HINT"] = "f32"
        graph = core.read_model(model)
        self._names = [i.any_name for i in graph.inputs]
        if length is not None:
            graph.reshape({name: [1, length] for name in self._names})
        self._fixed = core.compile_model(graph, "CPU", options).create_infer_request()

    @staticmethod
    def _quantized(core: Any, model: Path, calibration: Path, smooth: bool) -> Path:
        made = model.with_name(f"openvino-int8{'' if smooth else '-plain'}.xml")
        if not made.exists():
            import nncf
            import openvino

            rows = json.loads(calibration.read_text(encoding="utf-8"))
            samples = [
                {
                    "input_ids": np.array([r], np.int64),
                    "attention_mask": np.ones((1, len(r)), np.int64),
                }
                for r in rows
            ]
            off = nncf.AdvancedSmoothQuantParameters(matmul=-1)
            advanced = nncf.AdvancedQuantizationParameters(smooth_quant_alphas=off)
            quantized = nncf.quantize(
                core.read_model(model), nncf.Dataset(samples), subset_size=len(samples),
                model_type=nncf.ModelType.TRANSFORMER,
                advanced_parameters=None if smooth else advanced,
            )  # fmt: skip
            openvino.save_model(quantized, made, compress_to_fp16=False)
        return made

    def run(self, ids: timing.Array, mask: timing.Array) -> timing.Array:
        """Return the embedding."""
        feeds = {"input_ids": ids, "attention_mask": mask}
        result = self._fixed.infer({n: feeds[n] for n in self._names}, share_inputs=True)
        return np.asarray(result[0])
