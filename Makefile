# The pipeline, and the developer's verbs. `make` alone prints them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := help

# What a run is made of; what is left empty is the recipe's or the program's own default.
DATASET ?=
FROM ?=
RECIPE ?= article
EPOCHS ?=
SEED ?=
PRECISION ?=
DEVICE ?= auto
CHECKPOINT ?=
FORMAT ?= text
PORT ?= 6006
TORCH ?= cpu
PREFIX ?= /usr/local
DATA ?= data/raw/cifar10
PYTHON ?= python3
BENCH_PYTHON ?=
FETCH_ARGS ?=
PREP_ARGS ?=
TRAIN_ARGS ?=

RECIPE_NAME := $(basename $(notdir $(RECIPE)))
RUN ?= $(RECIPE_NAME)-$(DATASET)$(if $(SEED),-seed$(SEED))$(if $(PRECISION),-$(PRECISION))

TARGET := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET)/release
CARGO_BUILD = cargo build --release --locked
export PATH := $(abspath $(RELEASE)):$(PATH)

##@ The pipeline, each step with what it needs
.PHONY: fetch prep train evaluate scalars tensorboard
fetch: ## Fetch the data set                         → data/raw/DATASET
prep: ## Turn it into shards                        → data/shards/DATASET-RECIPE
train: ## Train on them                              → runs/RUN
evaluate: ## Evaluate a checkpoint: the run's last, or CHECKPOINT
scalars: ## Write the run's metrics for TensorBoard
tensorboard: ## Show all runs in TensorBoard, live, until Ctrl-C

##@ The programs
.PHONY: build install uninstall libtorch codecs doc
build: ## Build the programs                         → target/release
install: ## Install them                               → PREFIX/bin, to be run from any folder
uninstall: ## Remove what install installed
libtorch: ## Install libtorch for this project          → .libtorch
codecs: ## Install the image codecs for this project  → .codecs
doc: ## Build the documentation of the crates      → target/doc

##@ Development
.PHONY: test lint fmt fuzz bench parity clean distclean help
test: ## Everything that is checked: formatting, lints, all tests
lint: ## Formatting and lints only
fmt: ## Format the code
fuzz: ## Fuzz each parser for FUZZ_SECONDS, then the property tests with many more cases
bench: ## Compare speed with PyTorch, on a CIFAR-10 in DATA
parity: ## Compare results with PyTorch, number by number → parity/report.txt
clean: ## Remove what was built and the shards; keep data, runs and libtorch
distclean: ## Remove all that can be fetched or built again; keep runs

define VARIABLES
Variables, with what they are if not given:
  DATASET     the data set: cifar10 if it is there or can be fetched, else mnist-5k
  FROM        fetch from this archive, folder or URL instead of the usual places
  RECIPE      the recipe's name, or a TOML file: $(RECIPE)
  EPOCHS, SEED, PRECISION   what the recipe says, or the run that is gone on with
  RUN         the run's name: RECIPE-DATASET
  DEVICE      auto, cpu, cuda or cuda:N: $(DEVICE)
  CHECKPOINT  what to evaluate: the run's last
  FORMAT      the evaluation's: text, json or csv: $(FORMAT)
  TORCH       the libtorch to install: cpu or cuda: $(TORCH)
  PREFIX      where to install: $(PREFIX)   (DESTDIR is put before it)
  DATA        bench's CIFAR-10 folder: $(DATA); parity's, if given, in place of mnist-5k
  PORT        TensorBoard's: $(PORT)
  FETCH_ARGS, PREP_ARGS, TRAIN_ARGS   further options for these programs

Examples:
  make train                                     fetch, prep and train, whatever is still to do
  make train DATASET=mnist-5k EPOCHS=3 RUN=first
  make train DATASET=cifar10 FROM=~/Downloads/cifar-10-binary.tar.gz
  make evaluate CHECKPOINT=runs/first/checkpoints/epoch-0002.safetensors
endef
export VARIABLES

help:
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s:\n", substr($$0, 5) } \
		/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\n%s\n' "$$VARIABLES"

# --- Which data set ---------------------------------------------------------------------------------------
# With no DATASET, CIFAR-10 if it is there. If not, fetch-data finds out whether it can be had, once: the
# answer is kept in $(CHOICE), so that the next `make train` means the same data set. make rebuilds a file
# that it includes, then reads itself again; with -n it would, too, so then nothing is asked.
CHOICE := data/default-dataset.mk
NEED_DATASET := $(filter fetch prep train evaluate scalars,$(MAKECMDGOALS))
DRY_RUN := $(findstring n,$(filter-out --%,$(firstword -$(MAKEFLAGS))))

ifeq ($(strip $(DATASET)),)
ifneq ($(NEED_DATASET),)
ifneq ($(wildcard data/raw/cifar10/dataset.toml),)
override DATASET := cifar10
WHY := it is in data/raw/cifar10; make $(firstword $(NEED_DATASET)) DATASET=mnist-5k takes the small one
else ifneq ($(DRY_RUN),)
-include $(wildcard $(CHOICE))
override DATASET := $(or $(CHOSEN),mnist-5k)
WHY ?= as when no source of cifar10 answers, which -n does not find out
else
include $(CHOICE)
override DATASET := $(CHOSEN)
endif
$(if $(DATASET),$(shell printf 'make: no DATASET given, taking %s: %s\n' '$(DATASET)' '$(WHY)' >&2))
endif
endif

$(CHOICE): | $(RELEASE)/.data-programs
	@mkdir -p $(@D)
	@if fetch-data --available cifar10; then \
		printf '%s\n' 'CHOSEN := cifar10' \
			'WHY := a source answers; make train DATASET=mnist-5k takes the small one that is included'; \
	else \
		printf '%s\n' 'CHOSEN := mnist-5k' \
			'WHY := it is included, and no source of cifar10 answered; make train DATASET=cifar10 tries to fetch that one'; \
	fi >$@

# --- The programs -----------------------------------------------------------------------------------------
# Two builds, so that the programs that do not need libtorch need not wait for it.
DATA_PROGRAMS := fetch-data prep scalars
TORCH_PROGRAMS := train evaluate
# The halves of these that are linked with libtorch: the programs themselves start without it.
TORCH_HALVES := $(addsuffix -torch,$(TORCH_PROGRAMS))
PROGRAMS := $(DATA_PROGRAMS) $(TORCH_PROGRAMS)
WORKSPACE := Cargo.toml Cargo.lock .cargo/config.toml crates/rpath.rs
DATA_SOURCES := $(shell find $(addprefix crates/,torchmill $(DATA_PROGRAMS)) -type f)
TORCH_SOURCES := $(shell find $(addprefix crates/,torchmill torchmill-nn $(TORCH_PROGRAMS)) -type f)

build: $(RELEASE)/.data-programs $(RELEASE)/.torch-programs

$(RELEASE)/.data-programs: $(WORKSPACE) $(DATA_SOURCES) | codecs
	$(CARGO_BUILD) $(addprefix -p ,$(DATA_PROGRAMS))
	@touch $@

$(RELEASE)/.torch-programs: $(WORKSPACE) $(TORCH_SOURCES) | libtorch codecs
	$(CARGO_BUILD) $(addprefix -p ,$(TORCH_PROGRAMS))
	@touch $@

# It takes milliseconds where libtorch is installed, and then says nothing.
libtorch:
	@PYTHON=$(PYTHON) scripts/install-libtorch $(TORCH) $(if $(filter libtorch,$(MAKECMDGOALS)),,--quiet)

# The programs load the codecs when they decode an image. TORCHMILL_CODECS names others.
codecs:
	@$(if $(TORCHMILL_CODECS),true,PYTHON=$(PYTHON) scripts/install-codecs $(if $(filter codecs,$(MAKECMDGOALS)),,--quiet))

# --- The pipeline -----------------------------------------------------------------------------------------
# The programs are order-only prerequisites: a newer build does not put data and runs out of date.
RAW := data/raw/$(DATASET)/dataset.toml
SHARDS := data/shards/$(DATASET)-$(RECIPE_NAME)
RUN_DIR := runs/$(RUN)
RUN_CONFIG := $(RUN_DIR)/config.toml
# A run is done when it has trained for as many epochs as asked: one stamp for each number asked for.
TRAINED := $(RUN_DIR)/.trained$(if $(EPOCHS),-$(EPOCHS)-epochs)
LAST := $(RUN_DIR)/checkpoints/last.safetensors
# What evaluate and scalars wait for: nothing where there is something to work on, unless it is being made.
WAIT_FOR = $(if $(filter train,$(MAKECMDGOALS)),$(TRAINED),$(if $(wildcard $1),,$(TRAINED)))

FETCH_OPTIONS = $(strip $(DATASET) $(if $(FROM),--from '$(patsubst ~/%,$(HOME)/%,$(FROM))') $(FETCH_ARGS))
# A run that is there has its recipe.
TRAIN_OPTIONS = $(strip $(if $(wildcard $(RUN_CONFIG)),--resume,--recipe $(RECIPE)) \
	--data $(SHARDS) --run $(RUN_DIR) --device $(DEVICE) \
	$(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(SEED),--seed $(SEED)) $(if $(PRECISION),--precision $(PRECISION)) \
	$(TRAIN_ARGS))

# Without DATASET, these rules would be about files called data/raw//dataset.toml.
ifneq ($(DATASET),)
fetch: $(RAW)
prep: $(SHARDS)/.prepped
train: $(TRAINED)
	@echo 'The run is in $(RUN_DIR). Next: make evaluate, make tensorboard'

# If the data set was chosen because a source answered, and that source then fails, ask again next time.
$(RAW): | $(RELEASE)/.data-programs
	fetch-data $(FETCH_OPTIONS)$(if $(filter cifar10,$(CHOSEN)), || { status=$$?; rm -f $(CHOICE); exit $$status; })
	@touch $@

$(SHARDS)/.prepped: $(RAW) $(filter %.toml,$(RECIPE)) | $(RELEASE)/.data-programs
	prep $(strip $(<D) -o $(@D) --recipe $(RECIPE) $(PREP_ARGS))
	@touch $@

define CHECK_RECIPE
if [[ -e '$(RUN_CONFIG)' && '$(RECIPE)' -nt '$(RUN_CONFIG)' ]]; then \
	echo 'make: $(RECIPE) has changed since $(RUN_DIR) began with it: name the new run, RUN=..., or remove the old one' >&2; \
	exit 1; \
fi
endef

# Goes on where an earlier run of this name was stopped: with that run's recipe, so this one must be no newer.
$(TRAINED): $(SHARDS)/.prepped | $(RELEASE)/.torch-programs
	@$(if $(filter %.toml,$(RECIPE)),$(CHECK_RECIPE))
	train $(TRAIN_OPTIONS)
	@# --max-time in TRAIN_ARGS ends well before the run is done.
	@if tail -n 1 '$(RUN_DIR)/run.jsonl' | grep -q '"outcome":"done"'; then touch $@; \
		else echo 'the run is not done: make train goes on with it'; fi

# A checkpoint that is there is evaluated as it is; only where there is none must there be training first.
evaluate: $(SHARDS)/.prepped | $(if $(CHECKPOINT),,$(call WAIT_FOR,$(LAST))) $(RELEASE)/.torch-programs
	evaluate $(or $(CHECKPOINT),$(LAST)) --data $(SHARDS) --format $(FORMAT) --device $(DEVICE)

scalars: $(RUN_DIR)/.scalars
$(RUN_DIR)/metrics.csv: | $(call WAIT_FOR,$(RUN_DIR)/metrics.csv) ;
endif

runs/%/.scalars: runs/%/metrics.csv | $(RELEASE)/.data-programs
	scalars $< --logdir runs
	@touch $@

# Both until Ctrl-C: runs that are being trained, and those that are yet to begin, are followed.
tensorboard: .venv/.installed | $(RELEASE)/.data-programs
	@mkdir -p runs
	@scalars --quiet --follow runs --logdir runs & follower=$$!; \
		trap 'kill $$follower 2>/dev/null || true; wait $$follower || true' EXIT; \
		trap 'exit 130' INT TERM; \
		.venv/bin/tensorboard --logdir runs --port $(PORT)

# --- Installing -------------------------------------------------------------------------------------------
# What is linked with libtorch looks for it in ../../lib/torchmill first. This project's own is copied there; one that
# belongs to somebody else (LIBTORCH, the system's, a Python environment's) is linked to.
BINDIR = $(DESTDIR)$(PREFIX)/bin
LIBDIR = $(DESTDIR)$(PREFIX)/lib/torchmill
LIBEXECDIR = $(DESTDIR)$(PREFIX)/libexec/torchmill
MANDIR = $(DESTDIR)$(PREFIX)/share/man/man1
BASHDIR = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSHDIR = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISHDIR = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
LIBTORCH_LIB = $(abspath $(or $(LIBTORCH),.libtorch))/lib
CODECS = $(or $(TORCHMILL_CODECS),.codecs)
CODECSDIR = $(DESTDIR)$(PREFIX)/lib/torchmill-codecs

install: build
	install -d '$(BINDIR)' '$(LIBEXECDIR)' '$(dir $(LIBDIR))' '$(MANDIR)' '$(BASHDIR)' '$(ZSHDIR)' '$(FISHDIR)'
	install -m 755 $(addprefix $(RELEASE)/,$(PROGRAMS)) '$(BINDIR)'
	install -m 755 $(addprefix $(RELEASE)/,$(TORCH_HALVES)) '$(LIBEXECDIR)'
	rm -rf '$(LIBDIR)'
	@if [[ -z '$(LIBTORCH)' && ! -L .libtorch ]]; then \
		echo "installing libtorch in $(LIBDIR)"; \
		install -d '$(LIBDIR)'; \
		find -L .libtorch/lib -maxdepth 1 \( -name 'lib*.so.*' -o -name 'lib*.dylib' -o -name 'lib*.so' -size +1k \) \
			-exec install -m 755 {} '$(LIBDIR)' ';'; \
	else \
		echo "linking $(LIBDIR) to $(LIBTORCH_LIB)"; \
		ln -sfn '$(LIBTORCH_LIB)' '$(LIBDIR)'; \
	fi
	rm -rf '$(CODECSDIR)'
	install -d '$(CODECSDIR)'
	cp -RP '$(CODECS)/.' '$(CODECSDIR)'
	@for program in $(PROGRAMS); do \
		$$program --man >"$(MANDIR)/$$program.1"; \
		$$program --completions bash >"$(BASHDIR)/$$program"; \
		$$program --completions zsh >"$(ZSHDIR)/_$$program"; \
		$$program --completions fish >"$(FISHDIR)/$$program.fish"; \
	done
	@echo "installed $(PROGRAMS) in $(BINDIR)"

uninstall:
	for program in $(PROGRAMS); do \
		rm -f "$(BINDIR)/$$program" "$(MANDIR)/$$program.1" "$(BASHDIR)/$$program" "$(ZSHDIR)/_$$program" \
			"$(FISHDIR)/$$program.fish"; \
	done
	rm -rf '$(LIBDIR)' '$(LIBEXECDIR)' '$(CODECSDIR)'

# --- Development ------------------------------------------------------------------------------------------
# Python is only for tests and measurements, in environments of the project's own.
define NO_VENV
make: cannot make a virtual environment with $(PYTHON). On Debian and Ubuntu: apt install python3-venv.
make: PYTHON=... picks another Python
endef
export NO_VENV

.venv/.installed: tests/requirements.txt
.venv-bench/.installed: bench/requirements.txt
.venv/.installed .venv-bench/.installed:
	@# Debian's Python makes environments with pip in them only where python3-venv is installed, but its pip can
	@# install into one without.
	@$(PYTHON) -m venv $(@D) >/dev/null 2>&1 || $(PYTHON) -m venv --clear --without-pip $(@D) \
		|| { echo "$$NO_VENV" >&2; exit 1; }
	@pip=($(@D)/bin/python -m pip); "$${pip[@]}" --version >/dev/null 2>&1 || pip=($(PYTHON) -m pip --python $(@D)/bin/python); \
		set -x; "$${pip[@]}" --disable-pip-version-check install --quiet -r $<
	@touch $@

# The tests that run Python or the built programs fail where these are missing; they are never skipped here.
test: export TORCHMILL_PYTHON = $(abspath .venv/bin/python)
test: lint .venv/.installed
	cargo build --workspace --locked
	cargo test --workspace --locked

# Modules that a macro declares, which cargo fmt does not find.
MACRO_MODULES := $(wildcard crates/torchmill/src/transform/steps/*.rs)
RUSTFMT := rustfmt --edition 2024

lint: libtorch codecs
	cargo fmt --all --check
	$(RUSTFMT) --check $(MACRO_MODULES)
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@# The fuzz targets are a workspace of their own, whose lock file is easily forgotten.
	cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
	@if command -v shellcheck >/dev/null; then set -x; shellcheck scripts/* .ci/run; fi

fmt:
	cargo fmt --all
	$(RUSTFMT) $(MACRO_MODULES)

# libFuzzer's coverage instrumentation needs no nightly compiler; only sanitizers do. What a run finds stays in
# fuzz/corpus, what breaks a target in fuzz/artifacts. FUZZ=NAME runs one target.
FUZZ_SECONDS := 20
FUZZ := $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
FUZZ_FLAGS := --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks
# Naming the host keeps build scripts and macros free of instrumentation.
HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')

fuzz: export PROPTEST_CASES ?= 20000
fuzz: export RAYON_NUM_THREADS ?= 1
fuzz: codecs
	RUSTFLAGS='$(FUZZ_FLAGS)' cargo build --release --locked --manifest-path fuzz/Cargo.toml --target-dir fuzz/target --target $(HOST)
	@for target in $(FUZZ); do \
		mkdir -p fuzz/corpus/$$target fuzz/artifacts/$$target; \
		echo "fuzzing $$target for $(FUZZ_SECONDS) s"; \
		fuzz/target/$(HOST)/release/$$target fuzz/corpus/$$target fuzz/seeds/$$target -max_total_time=$(FUZZ_SECONDS) \
			-artifact_prefix=fuzz/artifacts/$$target/ -rss_limit_mb=3000 -verbosity=0 -print_final_stats=1 \
			|| { echo "$$target broke: its input is in fuzz/artifacts/$$target"; exit 1; }; \
	done
	cargo test --release --locked $(addprefix -p ,torchmill $(DATA_PROGRAMS))

doc: libtorch
	cargo doc --workspace --no-deps --locked

bench: build $(if $(BENCH_PYTHON),,.venv-bench/.installed)
	$(or $(BENCH_PYTHON),.venv-bench/bin/python) bench/run.py --data '$(DATA)' --output bench/results.csv

parity: build $(if $(BENCH_PYTHON),,.venv-bench/.installed)
	$(or $(BENCH_PYTHON),.venv-bench/bin/python) parity/run.py $(if $(filter file,$(origin DATA)),,--data '$(DATA)') --output parity/report.txt

clean:
	cargo clean
	rm -rf data/shards bench/results.csv parity/report.txt

distclean: clean
	rm -rf data .venv .venv-bench .libtorch .libtorch.* .libtorch-cuda .codecs .codecs.*
