# Everything a person or CI runs. Only Python 3.11+ is needed; broker and promtool tests say why they skip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_STAMP := $(VENV)/.installed-runtime
PIP := PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: install demo test bench soak fuzz chaos chaos-each clean

install: $(STAMP)

# What the program itself needs; the tools of the tests come on top.
$(DEMO_STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) -e .
	touch $(DEMO_STAMP)

$(STAMP): $(DEMO_STAMP)
	$(PIP) -e '.[dev]'
	touch $(STAMP)

demo: $(DEMO_STAMP)  ## a broker in the process, a stream that drifts, the first alert within a minute
	$(BIN)/stream-monitor demo

test: install  ## style, types, import contracts, then all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --dist loadfile

bench: install  ## ratios on a real broker, under 15 minutes; NAME=ingest for one of them, long ones too
	$(BIN)/python -m benches $(NAME)

soak: SECONDS ?= 1800
soak: install  ## memory by time at full speed on a real broker; fails where it grows
	$(BIN)/python -m benches.soak --seconds $(SECONDS)

chaos: SECONDS ?= 120
chaos: install  ## a random mix of all faults for SECONDS, then all counts compared; SEED=n repeats one
	$(BIN)/python -m tests.chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

chaos-each: install  ## the tests that `make test` leaves out: every fault by itself, some 20 minutes
	$(BIN)/pytest -m chaos -s

fuzz: SECONDS ?= 60
fuzz: install  ## SECONDS of inputs for each reader of bytes, guided by coverage where atheris has a wheel; NAME=join for one
	$(PIP) --only-binary atheris -e '.[fuzz]' || echo "no wheel of atheris for this Python and machine: unguided"
	nice $(BIN)/python -m tests.fuzz $(SECONDS) $(NAME)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
