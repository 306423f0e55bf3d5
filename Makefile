# Everything a contributor runs. A machine needs Python 3.11 or newer, and make; the rest comes into a virtual environment.
#
#   make test DJANGO=4.2                        another Django, in .venv-4.2
#   make test PYTHON=python3.13 DJANGO=6.1      another Python too (a new environment takes it)
#   make test PYTEST_ARGS="-k retention -x"     anything pytest takes
#   make bench BENCH_ARGS="--small --rounds 1"  a short run; --only sqlite,media for some subjects; --write for the docs
#   make test TEST_PATIENCE=5                   five times the usual limits of time, for a machine that is slow

PYTHON ?= python3
DJANGO ?=
VENV ?= .venv$(addprefix -,$(DJANGO))
WORKERS ?= auto
# Seconds that all tests may take on a quiet machine with two processors; above that, they fail where CI is set.
BUDGET ?= 1100
PYTEST_ARGS ?=
BENCH_ARGS ?=
ADDRESS ?= 127.0.0.1:8000

bin := $(VENV)/bin
pytest := $(bin)/python -m pytest
parallel := -n $(WORKERS) --dist worksteal
# The task queues need Django 5.2 or newer.
queues := $(if $(filter 4.%,$(DJANGO)),,$(VENV)/.installed-queues)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo serve test soak check bench docs screenshots clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed-site  ## Back up a shop, wreck it, restore it, and compare every row
	@$(bin)/python -m tests.site.demo

serve: $(VENV)/.installed-site  ## Run the shop's admin at http://127.0.0.1:8000/admin/ (admin, admin)
	@$(bin)/python manage.py migrate --verbosity 0
	@$(bin)/python manage.py migrate --verbosity 0 --database analytics
	@$(bin)/python manage.py seedshop --superuser
	@echo "Open http://$(ADDRESS)/admin/ and log in as admin, password admin."
	@$(bin)/python manage.py runserver $(ADDRESS)

# Development mode goes by the environment: it must reach pytest's workers and the processes that tests start.
# Without the checks of the memory allocator: they are for faults of code in C, and cost a tenth of the time.
# Compiled tests are kept, also where the environment says otherwise: each of the workers would compile all of them.
development := PYTHONDEVMODE=1 PYTHONMALLOC=pymalloc PYTHONDONTWRITEBYTECODE=

test: $(VENV)/.installed-test $(queues)  ## Run the tests
	$(development) $(pytest) $(parallel) --durations=10 --budget=$(BUDGET) -m "not soak" $(PYTEST_ARGS)

soak: $(VENV)/.installed-test $(queues)  ## Kill backups and restores at random, restore under load, play random histories: minutes
	$(development) $(pytest) $(parallel) -m soak $(PYTEST_ARGS)

check: $(VENV)/.installed-test $(VENV)/.installed-check  ## Check style, types, migrations and Django's system checks
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	$(bin)/python -W error manage.py makemigrations --check --dry-run
	$(bin)/python -W error manage.py check

bench: $(VENV)/.installed-test  ## Compare with other packages and with plain programs, in one table; measure the memory
	$(bin)/python -m tests.benchmarks $(BENCH_ARGS)
	$(pytest) -p no:randomly -s tests/benchmarks $(PYTEST_ARGS)

docs: $(VENV)/.installed-test  ## Check that the documentation tells the truth
	$(pytest) tests/project/test_docs.py $(PYTEST_ARGS)

screenshots: $(VENV)/.installed-test  ## Take the pictures in the documentation anew
	$(bin)/python -m tests.screenshots

clean:  ## Remove environments, caches, builds and the shop's data
	rm -rf .venv* var build dist htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(bin)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

# One stamp a dependency group: installed anew when pyproject.toml changes. pip reads the groups from version 25.1 on.
$(VENV)/.installed-%: pyproject.toml | $(bin)/python
	$(bin)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(bin)/python -m pip install --quiet --editable ".[rclone]" --group $* $(if $(DJANGO),"django==$(DJANGO).*")
	@touch $@
