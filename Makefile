# Two commands on a fresh machine (Python 3.11+, make, git, a compiler):
#   make demo    sets everything up and compresses a real photograph, there and back
#   make check   sets everything up and passes format, lint, types and tests

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= demo
JOBS ?= 1

.PHONY: demo check kodak numbers clean

demo: $(VENV)/.installed
	$(BIN)/python -m hqcodec.benchmarks.demo --out $(OUT)

check: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q

# Regenerates the measurements, the plot and the README's tables: make kodak DIR=path/to/kodak
# One point at a time, or the seconds would be those of a busy machine; stopped, it goes on where it was.
kodak: $(VENV)/.installed
	$(BIN)/python -m hqcodec.benchmarks.kodak $(DIR) --jobs $(JOBS) $(if $(LPIPS),--lpips $(LPIPS))

# Regenerates every number and figure of the README: make numbers DIR=path/to/kodak LPIPS=path/to/weights
# More: TILES= sheet of CIFAR-10's test pictures, PHOTOS= photographs to train the ablation on,
# SOUNDS= folder with a folder of sounds for each kind, ONLY= one step, FROM= the step to begin with
numbers: $(VENV)/.installed
	$(BIN)/python -m hqcodec.benchmarks.numbers $(DIR) $(if $(LPIPS),--lpips $(LPIPS)) \
		$(if $(TILES),--tiles $(TILES)) $(if $(PHOTOS),--photos $(PHOTOS)) \
		$(if $(SOUNDS),--sounds $(SOUNDS)) $(if $(ONLY),--only $(ONLY)) $(if $(FROM),--from $(FROM))

# torch comes first and by version, because the dependency alone would bring its CUDA build on Linux.
# Strict editable installs link files one by one, so a new file needs a new install.
$(VENV)/.installed: pyproject.toml $(wildcard codec/*.py cli/*.py models/*.py models/c/* models/weights/* models/configs/* benchmarks/*.py benchmarks/papers/*.py benchmarks/page/*)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q torch==2.13.0
	$(BIN)/python -m pip install -q -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build demo *.egg-info
