# PYTHON  the Python (3.10 or newer) that the venv is made from
# SALT    another Salt than the default: a branch (SALT=3006) or a release (SALT=3007.15)
# LANES   only these lanes: make test LANES="unit golden"
PYTHON ?= python3
SALT ?=
LANES ?=
VENV := .venv$(addprefix -,$(SALT))

export SALT LANES

.PHONY: help demo test setup lint format proof-alias proof-safety proof-platforms proof-dsr proof-wan proof-dhcp bench clean-venv

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ## Show the main job on a real kernel, in namespaces of its own (about a minute)
	@$(PYTHON) test/environment.py demo
	@$(VENV)/bin/python test/demo/demo.py

test: ## Run every lane, with its own set-up (LANES="unit golden" runs some)
	@$(PYTHON) test/lanes.py

setup: ## Make the venv with everything that tests and lint need
	@$(PYTHON) test/environment.py test

lint: ## ruff, mypy --strict, salt-lint, yamllint
	@LANES=lint $(PYTHON) test/lanes.py

format: setup ## Format the Python files
	@$(VENV)/bin/ruff check --fix --exit-zero --quiet .
	@$(VENV)/bin/ruff format .

proof-alias: setup ## Measure the promises about aliases (FULL=1, SABOTAGE=n|all, SEED=n)
	@FULL="$(FULL)" SABOTAGE="$(SABOTAGE)" SEED="$(SEED)" $(VENV)/bin/python test/proof/alias.py

proof-safety: setup ## Measure the promises about safety (FULL=1, SABOTAGE=n|all, SEED=n)
	@FULL="$(FULL)" SABOTAGE="$(SABOTAGE)" SEED="$(SEED)" $(VENV)/bin/python test/proof/safety.py

proof-platforms: setup ## Measure the promises about every platform (FULL=1, SABOTAGE=n|all, SEED=n)
	@FULL="$(FULL)" SABOTAGE="$(SABOTAGE)" SEED="$(SEED)" $(VENV)/bin/python test/proof/platforms.py

proof-dsr: setup ## Measure the promises about real servers behind a balancer (FULL=1, SABOTAGE=n|all, SEED=n)
	@FULL="$(FULL)" SABOTAGE="$(SABOTAGE)" SEED="$(SEED)" $(VENV)/bin/python test/proof/dsr.py

proof-wan: setup ## Measure the promises about several ways out (FULL=1, SABOTAGE=n|all, SEED=n)
	@FULL="$(FULL)" SABOTAGE="$(SABOTAGE)" SEED="$(SEED)" $(VENV)/bin/python test/proof/wan.py

proof-dhcp: setup ## Measure the promises about a DHCP pair (FULL=1, SABOTAGE=n|all, SEED=n)
	@FULL="$(FULL)" SABOTAGE="$(SABOTAGE)" SEED="$(SEED)" $(VENV)/bin/python test/proof/dhcp.py

bench: setup ## Benchmarks beside the peers
	@$(VENV)/bin/python test/bench/bench.py

clean-venv: ## Remove the venvs and what the lanes wrote
	rm -rf .venv .venv-[0-9]* .build
