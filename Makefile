SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin

# Nothing here phones home.
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Tests mount them where they may.
FILE_SYSTEMS := mkfs.ext4:e2fsprogs mkfs.xfs:xfsprogs mkfs.btrfs:btrfs-progs

# Else each process of a test run compiles all the tests anew, 6 s of a processor.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slurmdbd check fmt bench torture lock clean

help: ## list what make can do
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

install: .venv/.installed ## make .venv with Haulage and the locked packages

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		f"{sys.executable} is Python {sys.version.split()[0]}; Haulage needs 3.11 or \
newer: make install PYTHON=python3.12")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || scripts/system-packages :python3-venv
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps -e .
	@$(BIN)/python -m compileall -q haulage blocks flows
	@touch $@

.venv/.dev: .venv/.installed requirements-dev.lock
	@$(BIN)/python -m pip install --quiet -r requirements-dev.lock
	@touch $@

# An S3 server whose packages would move those of Haulage has an environment of its own.
build/localstack/.installed: tests/servers/localstack.lock | .venv/.installed
	@$(BIN)/python -m venv build/localstack
	@build/localstack/bin/python -m pip install --quiet -r $<
	@rm -rf build/localstack/root; mkdir -p build/localstack/root/usr/lib/localstack
	@FILESYSTEM_ROOT=build/localstack/root OVERRIDE_IN_DOCKER=0 \
		build/localstack/bin/python -m localstack.aws.spec
	@touch $@

# Servers of tests; without Go, or without a way to its modules, their tests are skipped.
build/go/%: tests/servers/go.versions
	@command -v go >/dev/null || exit 0; GOBIN=$(CURDIR)/build/go GOFLAGS=-buildvcs=false \
		go install $$(grep '/$*@' $<) && touch $@ || echo "$* was not built"

demo: install ## two nights of a real tree, synced by a flow
	@$(BIN)/python -m deployments.demo

SYSTEM_PACKAGES = pg_ctl:postgresql rsync:rsync strace:strace \
	setfacl:acl setfattr:attr slurmctld:slurm-wlm munged:munge $(FILE_SYSTEMS)

test: .venv/.dev build/localstack/.installed build/go/versitygw ## run the tests, against real servers
	@scripts/system-packages $(SYSTEM_PACKAGES)
	@$(BIN)/pytest -n 4 --dist loadgroup  # they wait as long as they work

torture: .venv/.dev build/localstack/.installed build/go/versitygw build/go/minio ## more nights, kills, crowds and variants
	@scripts/system-packages $(SYSTEM_PACKAGES)
	@$(BIN)/pytest -m torture -n 2 --dist loadgroup

test-slurmdbd: .venv/.dev ## run the tests of SLURM's accounting, with slurmdbd and MariaDB
	@scripts/system-packages slurmctld:slurm-wlm munged:munge slurmdbd:slurmdbd \
		mariadbd:mariadb-server slurmdbd:slurm-wlm-mysql-plugin
	@$(BIN)/pytest -m "torture or not torture" tests/launch/slurm/test_slurm_accounting.py

check: .venv/.dev ## format, lint, types and import contracts
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fmt: .venv/.dev ## format the code
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

bench: .venv/.bench ## compare with rsync, cp, rclone, fpsync, s5cmd and boto3
	@scripts/system-packages rsync:rsync fpsync:fpart
	@$(BIN)/python -m bench $(ROWS)

.venv/.bench: .venv/.installed
	@$(BIN)/python -m pip install --quiet -c requirements.lock -e '.[bench]'
	@touch $@

lock: .venv/.installed ## resolve the packages anew within what pyproject.toml allows
	@$(BIN)/python -m venv build/lock
	@build/lock/bin/python -m pip install --quiet uv
	@for made in 'requirements.lock pyproject.toml' \
		'requirements-dev.lock pyproject.toml --extra dev -c requirements.lock' \
		'tests/servers/localstack.lock tests/servers/localstack.in'; \
	do build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 \
		--no-annotate --custom-compile-command 'make lock' $(LOCK) -o $$made; done

clean: ## remove what make made
	@rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
