# Everything happens in .venv; nothing outside of this folder is touched, except for the user's
# data cache. PIP_FLAGS reaches pip, for example to name an index with a CPU build of torch.
PYTHON ?= python3
PIP_FLAGS ?=
BIN := .venv/bin
# Tests run in as many processes, whole files each, so that what a file sets up is set up once.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
SOURCES := src tests examples benchmarks docs

.PHONY: help demo test test-all coverage check docs format kill mistakes callbacks bench sanitize neon clean

help: ## say what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' \
	  | awk -F'|' '{ printf "  make %-8s %s\n", $$1, $$2 }'

demo: .venv/run ## set up, get Fashion-MNIST, run the main job, write the report
	@echo "==> downslope run fashion-mnist (three to ten minutes on two cores; it says what this machine needs; Ctrl-C is safe, repeat to go on)"
	@$(BIN)/downslope run fashion-mnist

test: .venv/dev ## set up and run the fast tests, the doctests and the documents' blocks
	@echo "==> the fast tests (some minutes on two cores; make test-all runs all)"
	@$(PYTEST) -m "not slow"

test-all: .venv/dev ## run all tests: also kills, clusters and browsers
	@echo "==> all tests"
	@$(PYTEST)

coverage: .venv/dev ## run all tests with coverage, which takes half as long again; below 90 % fails
	@echo "==> all tests, with coverage"
	@COVERAGE_CORE=$$($(BIN)/python -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")') \
	  $(PYTEST) --cov --cov-report=term

check: .venv/dev ## format, lint and types, as CI does
	@echo "==> format, lint, types"
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/pyright

docs: .venv/dev ## build the documentation site into build/site; a warning fails, as in CI
	@echo "==> documentation"
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: .venv/dev ## let ruff mend format and lint
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

kill: .venv/dev ## kill -9 a run at every change to a file and 240 times at random (half an hour)
	@echo "==> killing runs, two at a time"
	@DOWNSLOPE_KILLS=full $(BIN)/python -m pytest -v -p no:cacheprovider tests/durability/test_kills.py

mistakes: .venv/dev ## check every seeded mistake and every correct solution of the assignment (minutes)
	@echo "==> the check, on every seeded mistake"
	@DOWNSLOPE_MISTAKES=full $(PYTEST) tests/assignment/test_checker.py

callbacks: .venv/dev ## test callbacks and checkpoints of the real Lightning and Hugging Face Trainer
	@echo "==> installing lightning and transformers"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e '.[lightning,transformers]' pytorch_lightning
	@$(BIN)/python -m pytest -v -p no:cacheprovider tests/landscape/test_callbacks.py

bench: .venv/dev ## run the benchmarks; see benchmarks/README.md
	@for script in $(filter-out benchmarks/contestants.py,$(wildcard benchmarks/*.py)); do echo "==> $$script"; $(BIN)/python $$script || exit 1; done

# The sanitized module takes the installed one's place while its tests run. Python itself is not
# built for it: leaks at exit are not looked for, and the run-time library is loaded first.
sanitize: .venv/dev ## run the core's tests under AddressSanitizer and UBSan, then ThreadSanitizer
	@for kind in address,undefined thread; do \
	  echo "==> building with -fsanitize=$$kind"; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e . \
	    -C build-dir=build/sanitize-$$kind -C cmake.define.DOWNSLOPE_SANITIZE=$$kind || exit 1; \
	  libraries=$$( [ $$kind = thread ] && echo libtsan.so || echo libasan.so libubsan.so ); \
	  preload=$$(for library in $$libraries; do printf '%s ' "$$(gcc -print-file-name=$$library)"; done); \
	  echo "==> the core's tests under it"; \
	  LD_PRELOAD="$$preload" ASAN_OPTIONS=detect_leaks=0 \
	    $(BIN)/python -c 'import downslope._native' || { status=1; continue; }; \
	  LD_PRELOAD="$$preload" ASAN_OPTIONS=detect_leaks=0 \
	    TSAN_OPTIONS="suppressions=native/tsan.supp report_signal_unsafe=0" \
	    $(BIN)/python -m pytest -q -p no:cacheprovider tests/engines/test_native.py \
	    -k "not float64" || status=1; \
	done; \
	echo "==> building as before"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e . && exit $${status:-0}

# On Debian: apt install g++-aarch64-linux-gnu qemu-user. The flags are those of CMakeLists.txt.
neon: ## train on an emulated ARM processor: the weights must be the same bits
	@echo "==> fixed members on NEON, under emulation"
	@mkdir -p build/neon
	@aarch64-linux-gnu-g++ -std=c++20 -O3 -ffp-contract=fast -fno-math-errno -fno-trapping-math \
	  -static -DDOWNSLOPE_ISA=baseline -DDOWNSLOPE_LANES=4 \
	  -DDOWNSLOPE_FACTORY=make_trainer_baseline native/trainer.cpp native/digest.cpp \
	  -o build/neon/digest
	@qemu-aarch64 build/neon/digest < native/digests.txt | diff native/digests.txt - && echo same bits

clean: ## remove what was set up; runs and the data cache stay
	rm -rf .venv build dist .coverage .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
	@echo "==> setting up .venv"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "downslope needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
	  echo "Python's venv module is missing; on Debian: apt install python3-venv" >&2; exit 2; }

.venv/run: pyproject.toml constraints.txt CMakeLists.txt $(wildcard native/*) | .venv/bin/python
	@echo "==> installing downslope and what it needs (torch is large; a minute or a few)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e .
	@touch $@

.venv/dev: .venv/run
	@echo "==> installing what tests and checks need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e '.[dev]'
	@touch $@
