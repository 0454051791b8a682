# The pipeline, and commands for development. Plain `make` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := help

# Variables for users. If one is empty, the recipe or the program decides.
DATASET ?=
FROM ?=
RECIPE ?= article
EPOCHS ?=
SEED ?=
PRECISION ?=
PROCESSES ?= 1
RUN ?=
DEVICE ?= auto
CHECKPOINT ?=
FORMAT ?= text
PORT ?= 6006
TORCH ?= cpu
PREFIX ?= /usr/local
DESTDIR ?=
PROGRAM_PREFIX ?=
DATA ?= data/raw/cifar10
PYTHON ?= python3
BENCH_PYTHON ?=
FETCH_ARGS ?=
PREP_ARGS ?=
TRAIN_ARGS ?=

TARGET := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET)/release
CARGO_BUILD = scripts/build
export PATH := $(abspath $(RELEASE)):$(PATH)

##@ The pipeline; each step runs those before it that are not done
.PHONY: fetch prep train evaluate scalars tensorboard
fetch: ## Fetch the data set                         → data/raw/DATASET
prep: ## Make shards of it                          → data/shards/DATASET-RECIPE
train: ## Train on them                              → runs/RUN
evaluate: ## Evaluate a checkpoint: the run's last, or CHECKPOINT
scalars: ## Write the run's metrics for TensorBoard
tensorboard: ## Show all runs in TensorBoard, live, until Ctrl-C

##@ The programs
.PHONY: build install uninstall wheel dist libtorch codecs doc
build: ## Build the programs                         → target/release
install: ## Install them for use in any folder         → PREFIX/bin
uninstall: ## Remove what install installed
wheel: ## Pack them as a Python wheel, for `pip install` next to PyTorch → dist
dist: ## Pack them with libtorch and an install script → dist
libtorch: ## Install libtorch for this project          → .libtorch
codecs: ## Install the image codecs for this project  → .codecs
doc: ## Build the documentation of the crates      → target/doc

##@ Development
.PHONY: test lint fmt fuzz kill faults qemu bench parity clean distclean help
test: ## Run all checks: formatting, lints, all tests
lint: ## Check formatting, lints, documentation and dependencies
fmt: ## Format the code
fuzz: ## Fuzz each parser for FUZZ_SECONDS, then run the property tests with more cases
kill: ## Kill the programs at random times, KILLS times, and check that nothing is lost
faults: ## Plant faults that only a GPU shows, and check that a test finds each
qemu: ## Test what needs no libtorch as arm64 Linux runs it, in an emulator
bench: ## Compare speed with PyTorch, on the CIFAR-10 in DATA
parity: ## Compare results with PyTorch, number by number → parity/report.txt
clean: ## Remove build results and shards; keep data, runs and libtorch
distclean: ## Remove all that can be fetched or built again; keep runs

define VARIABLES
Variables, with their defaults:
  DATASET     the data set: cifar10 if it is there or can be fetched, else mnist-5k
  FROM        fetch from this archive, folder, URL or hf:OWNER/DATASET instead
  RECIPE      the name of a recipe, or a TOML file: $(RECIPE)
  EPOCHS, SEED, PRECISION   those of the recipe, or of the run that is resumed
  PROCESSES   how many processes train together on this machine: $(PROCESSES)
  RUN         the name of the run: RECIPE-DATASET
  DEVICE      auto, cpu, cuda or cuda:N: $(DEVICE)
  CHECKPOINT  the checkpoint to evaluate: the run's last
  FORMAT      the format of the evaluation, text, json or csv: $(FORMAT)
  TORCH       the libtorch to install, cpu or cuda: $(TORCH)
  PREFIX      where to install: $(PREFIX)   (below DESTDIR)
  PROGRAM_PREFIX   what the installed programs' names begin with, such as torchmill-
  DATA        the CIFAR-10 folder for bench: $(DATA); for parity, if given, instead of mnist-5k
  PORT        TensorBoard's port: $(PORT)
  FETCH_ARGS, PREP_ARGS, TRAIN_ARGS   more options for these programs, quoted as in a shell

Examples:
  make train                                     fetch, prep and train
  make train DATASET=mnist-5k EPOCHS=3 RUN=first
  make train DATASET=cifar10 FROM=~/Downloads/cifar-10-binary.tar.gz
  make evaluate CHECKPOINT=runs/first/checkpoints/epoch-0002.safetensors
endef
export VARIABLES

help:
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s:\n", substr($$0, 5) } \
		/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\n%s\n' "$$VARIABLES"

# --- The values of variables ------------------------------------------------------------
# Values are text: `$$(...)` in them is expanded neither by make nor by a shell. A value that
# cannot be passed on unchanged stops make.
SET_BY_USERS := DATASET FROM RECIPE EPOCHS SEED PRECISION PROCESSES RUN DEVICE CHECKPOINT FORMAT PORT \
	TORCH PREFIX DESTDIR PROGRAM_PREFIX DATA PYTHON BENCH_PYTHON FETCH_ARGS PREP_ARGS TRAIN_ARGS
DATA_IS_DEFAULT := $(filter file,$(origin DATA))
$(foreach name,$(SET_BY_USERS),$(eval override $(name) := $$(value $(name))))

# For the shell: in single quotes.
quote = '$(subst ','\'',$1)'
# Prints a command, with single spaces, and runs it. A dry run prints it by itself.
run = $(if $(DRY_RUN),,printf '%s\n' $(call quote,$(strip $1)); )$1
define NEWLINE


endef
$(foreach name,$(SET_BY_USERS),$(if $(findstring $(NEWLINE),$($(name))), \
	$(error $(name) must not contain a line break)))

# For paths: ~/ at the beginning is the home folder.
home = $(if $(filter ~/%,$(firstword $1)),$(subst ^~/,$(HOME)/,^$1),$1)
$(foreach name,RECIPE FROM CHECKPOINT PREFIX DATA, \
	$(eval override $(name) := $$(call home,$$($(name)))))

# These become file names, in which make cannot handle every character.
HASH := \#
NOT_IN_NAMES := $$ ' " ` \ ; & | < > ( ) [ ] { } * ? ! : % , = ~ $(HASH)
check_name = $(if $(word 2,[$($1)]),$(error $1=$($1): a space cannot be in $1))$(strip \
	$(foreach c,$(NOT_IN_NAMES),$(if $(findstring $c,$($1)),$(error $1=$($1): $c cannot be in $1))) \
	$(if $(filter -%,$($1)),$(error $1=$($1): $1 cannot begin with -)))
$(foreach name,DATASET RECIPE RUN EPOCHS SEED PRECISION PROCESSES PROGRAM_PREFIX,$(call check_name,$(name)))
$(foreach name,DATASET RUN,$(if $(filter ..,$(subst /, ,$($(name)))), \
	$(error $(name)=$($(name)): .. cannot be in $(name))))

# Splits options into words as a shell does, but without expansions.
shell_words = $(if $1,$(shell printf '%s' $(call quote,$1) | \
	xargs bash -c 'printf "%q " "$$@"' - 2>/dev/null || echo '<unclosed>'))
check_words = $(if $(findstring <unclosed>,$2),$(error $1=$($1): a quote is not closed))
FETCH_WORDS := $(call shell_words,$(FETCH_ARGS))
PREP_WORDS := $(call shell_words,$(PREP_ARGS))
TRAIN_WORDS := $(call shell_words,$(TRAIN_ARGS))
$(call check_words,FETCH_ARGS,$(FETCH_WORDS))
$(call check_words,PREP_ARGS,$(PREP_WORDS))
$(call check_words,TRAIN_ARGS,$(TRAIN_WORDS))

# --- Which data set ---------------------------------------------------------------------
# Without DATASET the default is CIFAR-10 if it has been fetched. Otherwise fetch-data
# finds out once whether it can be fetched; the answer is kept in $(CHOICE), so that the
# next `make train` uses the same data set. make rebuilds a file that it includes and then
# starts over. It would do so with -n too, so then fetch-data is not run.
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
WHY ?= it is the choice if no source of cifar10 answers, which -n does not find out
else
include $(CHOICE)
override DATASET := $(CHOSEN)
endif
$(if $(DATASET),$(shell printf 'make: DATASET is not set, using %s: %s\n' '$(DATASET)' '$(WHY)' >&2))
endif
endif

$(CHOICE): | $(RELEASE)/.data-programs
	@mkdir -p $(@D)
	@if fetch-data --available cifar10; then \
		printf '%s\n' 'CHOSEN := cifar10' \
			'WHY := its source answers; make train DATASET=mnist-5k uses the small one that is included'; \
	else \
		printf '%s\n' 'CHOSEN := mnist-5k' \
			'WHY := it is included, and no source of cifar10 answered; make train DATASET=cifar10 tries to fetch it'; \
	fi >$@

# --- The programs -----------------------------------------------------------------------
# Two builds: the programs that do not need libtorch do not wait for it.
DATA_PROGRAMS := fetch-data prep scalars
TORCH_PROGRAMS := train evaluate
# The parts of these that are linked with libtorch. The programs themselves start without
# it.
TORCH_HALVES := $(addsuffix -torch,$(TORCH_PROGRAMS))
PROGRAMS := $(DATA_PROGRAMS) $(TORCH_PROGRAMS)
LICENSES := $(RELEASE)/licenses/README.txt
WORKSPACE := Cargo.toml Cargo.lock .cargo/config.toml crates/rpath.rs crates/relocatable.rs scripts/build
DATA_SOURCES := $(shell find $(addprefix crates/,torchmill $(DATA_PROGRAMS)) -type f)
TORCH_SOURCES := $(shell find $(addprefix crates/,torchmill torchmill-nn $(TORCH_PROGRAMS)) -type f)

build: $(RELEASE)/.data-programs $(RELEASE)/.torch-programs $(LICENSES)

$(RELEASE)/.data-programs: $(WORKSPACE) $(DATA_SOURCES) | codecs
	$(CARGO_BUILD) $(addprefix -p ,$(DATA_PROGRAMS))
	@touch $@

$(RELEASE)/.torch-programs: $(WORKSPACE) $(TORCH_SOURCES) | libtorch codecs
	$(CARGO_BUILD) $(addprefix -p ,$(TORCH_PROGRAMS))
	@touch $@

# The licences of the crates that are linked into them. cargo knows the crates, so this is part
# of the build: `sudo make install` may be without cargo.
$(LICENSES): Cargo.lock scripts/licenses $(wildcard crates/*/Cargo.toml)
	@rm -rf $(@D)
	$(call quote,$(PYTHON)) scripts/licenses programs --output $(@D)

# This takes milliseconds and prints nothing if libtorch is installed.
libtorch:
	@PYTHON=$(call quote,$(PYTHON)) scripts/install-libtorch $(call quote,$(TORCH)) $(if $(filter libtorch,$(MAKECMDGOALS)),,--quiet)

# The programs load the codecs when they decode an image. TORCHMILL_CODECS names other
# codecs.
codecs:
	@$(if $(TORCHMILL_CODECS),true,PYTHON=$(call quote,$(PYTHON)) scripts/install-codecs \
		$(if $(filter codecs,$(MAKECMDGOALS)),,--quiet))

# --- The pipeline -----------------------------------------------------------------------
# The programs are order-only prerequisites: a newer build does not make data and runs out
# of date.
RECIPE_NAME := $(basename $(notdir $(RECIPE)))
ifeq ($(RUN),)
override RUN := $(RECIPE_NAME)-$(DATASET)$(if $(SEED),-seed$(SEED))$(if $(PRECISION),-$(PRECISION))
endif
RAW := data/raw/$(DATASET)/dataset.toml
RAW_SETTINGS := data/raw/.$(DATASET).settings
SHARDS := data/shards/$(DATASET)-$(RECIPE_NAME)
PREPPED := $(SHARDS)/.prepped
RUN_DIR := runs/$(RUN)
RUN_CONFIG := $(RUN_DIR)/config.toml
RUN_SETTINGS := $(RUN_DIR)/.settings
# A run is done when it has trained for the requested number of epochs. Each number has
# its own stamp.
TRAINED := $(RUN_DIR)/.trained$(if $(EPOCHS),-$(EPOCHS)-epochs)
LAST := $(RUN_DIR)/checkpoints/last.safetensors
# The prerequisite of evaluate and scalars: none if their input exists and is not being
# made.
WAIT_FOR = $(if $(filter train,$(MAKECMDGOALS)),$(TRAINED),$(if $(wildcard $1),,$(TRAINED)))

# The settings that a stage depends on, besides files. scripts/settings compares them
# with those that the stage was done with.
IS_FILE := $(filter %.toml,$(RECIPE))
RECIPE_SETTINGS := $(call quote,RECIPE=$(if $(IS_FILE),$(abspath $(RECIPE)),$(RECIPE))) \
	$(if $(wildcard $(IS_FILE)),'RECIPE_CONTENTS=$(shell cksum <$(RECIPE))')
SHARD_SETTINGS = $(call quote,DATASET=$(DATASET)) $(RECIPE_SETTINGS) $(call quote,PREP_ARGS=$(PREP_ARGS))
GIVEN_SETTINGS = $(foreach name,FROM SEED PRECISION,$(if $($(name)),$(call quote,$(name)=$($(name)))))
# Other options for train continue a run, unless it is done.
TRAIN_SETTINGS = $(SHARD_SETTINGS) $(GIVEN_SETTINGS) \
	$(if $(wildcard $(TRAINED)),$(call quote,TRAIN_ARGS=$(TRAIN_ARGS)))

# Without DATASET, these rules would be about files called data/raw//dataset.toml.
ifneq ($(DATASET),)
fetch: $(RAW)
prep: $(PREPPED)
train: $(TRAINED)
	@echo 'The run is in $(RUN_DIR). Next: make evaluate, make tensorboard'

# An existing data set is not fetched again from another source.
ANOTHER_DATASET := 'data/raw/$(DATASET) was fetched' \
	'choose another DATASET, or remove data/raw/$(DATASET)'
FETCH_SETTINGS := $(call quote,FROM=$(FROM)) $(call quote,FETCH_ARGS=$(FETCH_ARGS))
check-data:
	@$(if $(FROM)$(FETCH_ARGS),$(if $(wildcard $(RAW)), \
		scripts/settings check $(RAW_SETTINGS) $(ANOTHER_DATASET) $(FETCH_SETTINGS)))

# If the data set was chosen because a source answered, and that source then fails, the next
# make asks again.
$(RAW): | check-data $(RELEASE)/.data-programs
	@$(call run,fetch-data $(DATASET) $(if $(FROM),--from $(call quote,$(FROM))) $(FETCH_WORDS)) $(if \
		$(filter cifar10,$(CHOSEN)),|| { status=$$?; rm -f $(CHOICE); exit $$status; })
	@scripts/settings save $(RAW_SETTINGS) $(FETCH_SETTINGS)
	@touch $@

# Shards that were made with other settings are made again, but not by `make evaluate`.
ifneq ($(filter prep train,$(MAKECMDGOALS)),)
ifneq ($(wildcard $(PREPPED)),)
ifneq ($(shell scripts/settings changed $(PREPPED) $(SHARD_SETTINGS)),)
$(PREPPED): FORCE
FORCE:
endif
endif
endif

$(PREPPED): $(RAW) | check-run $(RELEASE)/.data-programs
	@$(call run,prep $(<D) -o $(@D) --recipe $(RECIPE) $(PREP_WORDS))
	@rm -f $@
	@scripts/settings save $@ $(SHARD_SETTINGS)

# A run that was trained with other settings is neither resumed nor reported as this one.
ANOTHER_RUN := '$(RUN_DIR) was trained' 'name a new run with RUN=..., or remove $(RUN_DIR)'
CHECKED_SETTINGS = $(if $(filter train,$(MAKECMDGOALS)), \
	$(TRAIN_SETTINGS),'DATASET=$(DATASET)' $(RECIPE_SETTINGS))
USES_RUN := $(if $(CHECKPOINT),,$(filter train evaluate,$(MAKECMDGOALS)))
check-run:
	@$(if $(USES_RUN),$(if $(wildcard $(RUN_CONFIG)), \
		scripts/settings check $(RUN_SETTINGS) $(ANOTHER_RUN) $(CHECKED_SETTINGS)))

# The published weights that the recipe starts from, unless others are given.
WEIGHTS := $(if $(filter finetune,$(RECIPE)),$(if $(findstring --init,$(TRAIN_ARGS)),,resnet18))
WEIGHTS_STAMP := $(if $(WEIGHTS),data/weights/.$(WEIGHTS))
ifneq ($(WEIGHTS),)
$(WEIGHTS_STAMP): | $(RELEASE)/.data-programs
	@$(call run,fetch-data $(WEIGHTS))
	@touch $@
endif

# Starts several processes without Python or a launcher.
TOGETHER = $(if $(filter-out 1,$(PROCESSES)),scripts/processes $(PROCESSES))

DEVICE_WORD = $(or $(filter auto cpu cuda,$(DEVICE)),$(call quote,$(DEVICE)))
# A run that is resumed has its own recipe.
TRAIN_OPTIONS = $(if $(wildcard $(RUN_CONFIG)),--resume,--recipe $(RECIPE)) \
	--data $(SHARDS) --run $(RUN_DIR) --device $(DEVICE_WORD) \
	$(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(SEED),--seed $(SEED)) \
	$(if $(PRECISION),--precision $(PRECISION)) $(TRAIN_WORDS)
SAVE_RUN_SETTINGS = scripts/settings save $(RUN_SETTINGS) $(SHARD_SETTINGS) \
	$(GIVEN_SETTINGS) $(call quote,TRAIN_ARGS=$(TRAIN_ARGS))
# A new run also records settings that were not given, so that giving them later is noticed.
SAVE_NEW_RUN_SETTINGS = scripts/settings save $(RUN_SETTINGS) $(SHARD_SETTINGS) \
	$(foreach name,FROM SEED PRECISION,$(call quote,$(name)=$($(name)))) \
	$(call quote,TRAIN_ARGS=$(TRAIN_ARGS))
# The state is the fourth column. RUN cannot contain a comma.
RUN_STATE = evaluate --compare $(RUN_DIR) --format csv | tail -n 1 | cut -d, -f4

$(TRAINED): $(PREPPED) | check-run $(WEIGHTS_STAMP) $(RELEASE)/.torch-programs
	@# Before train begins, so that a run that is killed has its settings.
	@$(if $(wildcard $(RUN_CONFIG)),,$(SAVE_NEW_RUN_SETTINGS))
	@$(call run,$(TOGETHER) train $(TRAIN_OPTIONS)) || \
		{ status=$$?; scripts/settings discard $(RUN_SETTINGS); exit $$status; }
	@$(SAVE_RUN_SETTINGS)
	@# With --max-time in TRAIN_ARGS, train may end before the run is done.
	@if [[ $$($(RUN_STATE)) == done ]]; then touch $@; \
		else echo 'the run is not done: make train goes on with it'; fi

# An existing checkpoint is evaluated. A run is only trained first if there is none.
evaluate: $(PREPPED) | check-run $(if $(CHECKPOINT),,$(call WAIT_FOR,$(LAST))) $(RELEASE)/.torch-programs
	evaluate $(call quote,$(or $(CHECKPOINT),$(LAST))) --data $(SHARDS) \
		--format $(call quote,$(FORMAT)) --device $(DEVICE_WORD)

scalars: $(RUN_DIR)/.scalars
$(RUN_DIR)/metrics.csv: | $(call WAIT_FOR,$(RUN_DIR)/metrics.csv) ;
endif

runs/%/.scalars: runs/%/metrics.csv | $(RELEASE)/.data-programs
	scalars $< --logdir runs
	@touch $@

# Both programs run until Ctrl-C: they follow runs that are being trained and runs that
# begin later.
tensorboard: .venv/.installed | $(RELEASE)/.data-programs
	@mkdir -p runs
	@scalars --quiet --follow runs --logdir runs & follower=$$!; \
		trap 'kill $$follower 2>/dev/null || true; wait $$follower || true' EXIT; \
		trap 'exit 130' INT TERM; \
		.venv/bin/tensorboard --logdir runs --port $(call quote,$(PORT))

# --- Installing -------------------------------------------------------------------------
# The programs that are linked with libtorch look for it in ../../lib/torchmill first. A
# libtorch that belongs to this project is copied there; any other (LIBTORCH, a Python
# environment's) is linked to.
INSTALL_ROOT = $(DESTDIR)$(PREFIX)
BINDIR = $(INSTALL_ROOT)/bin
LIBDIR = $(INSTALL_ROOT)/lib/torchmill
LIBEXECDIR = $(INSTALL_ROOT)/libexec/torchmill
MANDIR = $(INSTALL_ROOT)/share/man/man1
BASHDIR = $(INSTALL_ROOT)/share/bash-completion/completions
ZSHDIR = $(INSTALL_ROOT)/share/zsh/site-functions
FISHDIR = $(INSTALL_ROOT)/share/fish/vendor_completions.d
DOCDIR = $(INSTALL_ROOT)/share/doc/torchmill
CODECSDIR = $(INSTALL_ROOT)/lib/torchmill-codecs
CODECS = $(or $(TORCHMILL_CODECS),.codecs)
# Not empty if libtorch is this project's own, which is copied.
OWN_LIBTORCH = $(if $(LIBTORCH),,$(shell test -L .libtorch || echo own))
LIBTORCH_LIB = $(abspath $(or $(LIBTORCH),.libtorch))/lib
# Records the folders that did not exist before, so that uninstall removes them.
INSTALLED_FOLDERS := share/doc/torchmill/folders.txt
TOP_DOCUMENTS := LICENSE-APACHE LICENSE-MIT README.md CHANGELOG.md CONTRIBUTING.md
# Python makes a folder there when it imports one of them.
DOCUMENTS := $(filter-out docs/__pycache__,$(wildcard docs/*))
INSTALLED := $(addprefix $(PROGRAM_PREFIX),$(PROGRAMS)) torchmill

install: build
	scripts/folders make $(call quote,$(INSTALL_ROOT)) $(INSTALLED_FOLDERS) bin lib libexec/torchmill share/man/man1 \
		share/bash-completion/completions share/zsh/site-functions share/fish/vendor_completions.d \
		share/doc/torchmill/docs share/doc/torchmill/licenses
	@for program in $(PROGRAMS); do \
		install -m 755 $(RELEASE)/$$program $(call quote,$(BINDIR))/$(PROGRAM_PREFIX)$$program; \
	done
	sed 's/^program_prefix=$$/program_prefix=$(PROGRAM_PREFIX)/' scripts/torchmill >$(call quote,$(BINDIR))/torchmill
	chmod 755 $(call quote,$(BINDIR))/torchmill
	install -m 755 $(addprefix $(RELEASE)/,$(TORCH_HALVES)) $(call quote,$(LIBEXECDIR))
	install -m 644 $(TOP_DOCUMENTS) $(call quote,$(DOCDIR))
	install -m 644 $(DOCUMENTS) $(call quote,$(DOCDIR))/docs
	install -m 644 $(RELEASE)/licenses/* $(call quote,$(DOCDIR))/licenses
	@$(THE_PYTHON) scripts/licenses libraries --codecs $(call quote,$(CODECS)) \
		$(if $(OWN_LIBTORCH),$(if $(wildcard .libtorch/LICENSE),--libtorch .libtorch)) --output $(call quote,$(DOCDIR))/licenses
	rm -rf $(call quote,$(LIBDIR))
	@if [[ -n "$(OWN_LIBTORCH)" ]]; then \
		echo $(call quote,installing libtorch in $(LIBDIR)); \
		install -d $(call quote,$(LIBDIR)); \
		find -L .libtorch/lib -maxdepth 1 \( -name 'lib*.so.*' -o -name 'lib*.dylib' -o -name 'lib*.so' -size +1k \) \
			-exec install -m 755 {} $(call quote,$(LIBDIR)) ';'; \
	else \
		echo $(call quote,linking $(LIBDIR) to $(LIBTORCH_LIB)); \
		ln -sfn $(call quote,$(LIBTORCH_LIB)) $(call quote,$(LIBDIR)); \
	fi
	@if [[ ! $(call quote,$(CODECS)) -ef $(call quote,$(CODECSDIR)) ]]; then \
		rm -rf $(call quote,$(CODECSDIR)); \
		install -d $(call quote,$(CODECSDIR)); \
		cp -RP $(call quote,$(CODECS)/.) $(call quote,$(CODECSDIR)); \
	fi
	@for name in $(INSTALLED); do \
		program=$(call quote,$(BINDIR))/$$name; \
		"$$program" --man >$(call quote,$(MANDIR))/$$name.1; \
		"$$program" --completions bash >$(call quote,$(BASHDIR))/$$name; \
		"$$program" --completions zsh >$(call quote,$(ZSHDIR))/_$$name; \
		"$$program" --completions fish >$(call quote,$(FISHDIR))/$$name.fish; \
	done
	@echo $(call quote,installed $(INSTALLED) in $(BINDIR))

uninstall:
	for name in $(INSTALLED); do \
		rm -f $(call quote,$(BINDIR))/$$name $(call quote,$(MANDIR))/$$name.1 \
			$(call quote,$(BASHDIR))/$$name $(call quote,$(ZSHDIR))/_$$name \
			$(call quote,$(FISHDIR))/$$name.fish; \
	done
	rm -f $(addprefix $(call quote,$(DOCDIR))/,$(TOP_DOCUMENTS) $(DOCUMENTS))
	rm -rf $(call quote,$(LIBDIR)) $(call quote,$(LIBEXECDIR)) $(call quote,$(CODECSDIR)) \
		$(call quote,$(DOCDIR))/licenses
	scripts/folders remove $(call quote,$(INSTALL_ROOT)) $(INSTALLED_FOLDERS)

wheel: build
	$(THE_PYTHON) scripts/package wheel --programs $(RELEASE) --codecs $(call quote,$(CODECS)) --output dist

dist: build
	$(THE_PYTHON) scripts/package tarball --programs $(RELEASE) --codecs $(call quote,$(CODECS)) \
		--libtorch $(call quote,$(patsubst %/lib,%,$(LIBTORCH_LIB))) --output dist

# --- Development ------------------------------------------------------------------------
# Only tests and measurements use Python, in virtual environments of this project.
define NO_VENV
make: cannot make a virtual environment with $(PYTHON). On Debian and Ubuntu: apt install python3-venv.
make: PYTHON=... selects another Python
endef
export NO_VENV
THE_PYTHON := $(call quote,$(PYTHON))

.venv/.installed: tests/requirements.txt
.venv-bench/.installed: bench/requirements.txt
.venv/.installed .venv-bench/.installed:
	@# Without the package python3-venv, Debian's Python makes environments without pip, but
	@# its own pip can install into them.
	@$(THE_PYTHON) -m venv $(@D) >/dev/null 2>&1 \
		|| $(THE_PYTHON) -m venv --clear --without-pip $(@D) || { echo "$$NO_VENV" >&2; exit 1; }
	@pip=($(@D)/bin/python -m pip); \
		"$${pip[@]}" --version >/dev/null 2>&1 || pip=($(THE_PYTHON) -m pip --python $(@D)/bin/python); \
		set -x; "$${pip[@]}" --disable-pip-version-check install --quiet -r $<
	@touch $@

# Here the tests that need Python or the built programs are not skipped: they fail if these
# are missing.
test: export TORCHMILL_PYTHON = $(abspath .venv/bin/python)
test: lint .venv/.installed
	cargo build --workspace --locked
	cargo test --workspace --locked

SHELL_SCRIPTS := $(shell grep -l '^\#!.*sh$$' scripts/* 2>/dev/null)
# The advisories come from a database that is fetched.
define CHECK_DEPENDENCIES
set -x; cargo deny --locked check bans licenses sources; \
if cargo deny fetch db; then cargo deny --locked check --disable-fetch advisories; \
else echo 'make: the database of advisories cannot be fetched: they are not checked' >&2; fi
endef

# Modules that a macro declares, which cargo fmt does not find.
MACRO_MODULES := $(wildcard $(addprefix crates/,torchmill/src/transform/steps/*.rs \
	torchmill/src/metric/*.rs torchmill/src/schedule/*.rs torchmill-nn/src/layer/*.rs \
	torchmill-nn/src/loss/*.rs torchmill-nn/src/optimizer/*.rs))
RUSTFMT := rustfmt --edition 2024

lint: libtorch codecs
	cargo fmt --all --check
	$(RUSTFMT) --check $(MACRO_MODULES)
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' cargo doc --workspace --no-deps --locked --quiet
	@# The fuzz targets are a workspace of their own, whose lock file is easily forgotten.
	cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
	@if command -v shellcheck >/dev/null; then set -x; shellcheck $(SHELL_SCRIPTS) .ci/run; fi
	@if command -v hadolint >/dev/null; then set -x; hadolint Dockerfile; fi
	@if command -v actionlint >/dev/null; then set -x; actionlint; fi
	@if command -v cargo-deny >/dev/null; then $(CHECK_DEPENDENCIES); fi

fmt:
	cargo fmt --all
	$(RUSTFMT) $(MACRO_MODULES)

# libFuzzer's coverage instrumentation works with a stable compiler; only the sanitizers need
# a nightly one. Inputs that a run finds are kept in fuzz/corpus, those that break a target in
# fuzz/artifacts. FUZZ=NAME runs one target. `parity/images.py write fuzz/corpus/image` gives the
# target `image` 5,000 files of all formats to begin with.
FUZZ_SECONDS := 20
FUZZ := $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
FUZZ_FLAGS := --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks
# With an explicit host, build scripts and macros are not instrumented.
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
			|| { echo "$$target failed: the input is in fuzz/artifacts/$$target"; exit 1; }; \
	done
	cargo test --release --locked $(addprefix -p ,torchmill $(DATA_PROGRAMS))

KILLS := 500
kill: build
	$(call quote,$(PYTHON)) tests/kill.py --programs $(RELEASE) --kills $(KILLS)

faults: libtorch codecs
	$(THE_PYTHON) tests/planted_faults.py

# The emulator does not run arm64 programs that an emulated program starts. The tests start it instead.
qemu: export TORCHMILL_TEST_RUNNER = qemu-aarch64 -L /usr/aarch64-linux-gnu
qemu: export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER = $(TORCHMILL_TEST_RUNNER)
qemu: export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER = aarch64-linux-gnu-gcc
qemu: export TORCHMILL_CODECS = $(abspath .codecs.aarch64)
qemu:
	PYTHON=$(call quote,$(PYTHON)) scripts/install-codecs --platform Linux-aarch64 --prefix .codecs.aarch64 --quiet
	cargo test --locked --target aarch64-unknown-linux-gnu $(addprefix -p ,torchmill $(DATA_PROGRAMS))

doc: libtorch
	cargo doc --workspace --no-deps --locked

bench: build $(if $(BENCH_PYTHON),,.venv-bench/.installed)
	$(call quote,$(or $(BENCH_PYTHON),.venv-bench/bin/python)) bench/run.py --data $(call quote,$(DATA)) --output bench/results.csv

parity: build $(if $(BENCH_PYTHON),,.venv-bench/.installed)
	$(call quote,$(or $(BENCH_PYTHON),.venv-bench/bin/python)) parity/run.py \
		$(if $(DATA_IS_DEFAULT),,--data $(call quote,$(DATA))) --output parity/report.txt

clean:
	cargo clean
	rm -rf data/shards bench/results.csv parity/report.txt

distclean: clean
	rm -rf data .venv .venv-bench .libtorch .libtorch.* .libtorch-cuda .codecs .codecs.*
