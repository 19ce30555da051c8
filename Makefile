# mgid: plain make, everything below $(BUILD). `make help` lists what can be asked for.
#
# A module is a folder of engine/ (or policy/) and becomes one archive; a program is a folder of
# workers/ (or bench/) and links only the archives named for it below, so that a role's process
# holds no other role's code. A unit test tests/unit/test_NAME.c is one Check program.

BUILD   ?= build
PREFIX  ?= /usr/local
ifeq ($(origin CC),default)
CC := gcc
endif
PYTHON  ?= python3

VERSION  := 0.1.0
TRIPLET  := $(shell $(CC) -dumpmachine 2>/dev/null || echo x86_64-linux-gnu)
ANDROID  := /usr/lib/$(TRIPLET)/android

OPTIMISE ?= -O2
SANITIZE ?=
WARN   := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
          -Wformat=2 -Wvla -Wundef -Wpointer-arith -Wwrite-strings -Werror
HARDEN := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE \
          $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2)
# No folder's name gets into a program: the same sources give the same bytes everywhere.
CFLAGS_ALL := -std=c17 -D_GNU_SOURCE -DMGID_VERSION='"$(VERSION)"' $(OPTIMISE) -g -MMD -MP \
          -ffile-prefix-map=$(CURDIR)=. \
          $(WARN) $(HARDEN) $(SANITIZE) -iquote . -iquote include -isystem /usr/include/android $(CFLAGS)
LDFLAGS_ALL := -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed $(SANITIZE) $(LDFLAGS)

# --- libraries ---
# liburing statically: the shared one of Debian 12 hides the functions that restrict a ring.
LIB_uring   := -l:liburing.a
LIB_boring  := -L$(ANDROID) -Wl,-rpath,$(ANDROID) -lssl -lcrypto
LIB_seccomp := -lseccomp
LIB_jansson := -ljansson
LIB_idn     := -lidn2
LIB_unbound := -lunbound
LIB_microhttpd := -lmicrohttpd
LIB_check   := $(shell pkg-config --libs check 2>/dev/null || echo -lcheck)

# --- programs: archives (in link order) and libraries ---
PROGRAMS := master compiler connection keeper resolver control mgictl
ARCHIVES_master     := counters policy ipc log
LIBS_master         :=
ARCHIVES_compiler   := policy-compiler policy mime sandbox ipc log
LIBS_compiler       := $(LIB_jansson) $(LIB_idn) $(LIB_seccomp)
ARCHIVES_connection := guard proxy spool tls smtp policy-facts mime policy counters ring pool sandbox ipc log
LIBS_connection     := $(LIB_uring) $(LIB_boring) $(LIB_idn) $(LIB_seccomp)
ARCHIVES_keeper     := policy sandbox ipc log
LIBS_keeper         := $(LIB_boring) $(LIB_seccomp)
ARCHIVES_resolver   := pool policy sandbox ipc log
LIBS_resolver       := $(LIB_unbound) $(LIB_seccomp)
ARCHIVES_control    := policy counters sandbox ipc log
LIBS_control        := $(LIB_jansson) $(LIB_seccomp) $(LIB_microhttpd)
ARCHIVES_mgictl     := policy-compiler policy-facts policy mime smtp admin counters log ipc
LIBS_mgictl         := $(LIB_jansson) $(LIB_idn)

# --- bench programs: peers and load for tests and measurement, never installed ---
BENCH_PROGRAMS := mgisim mgispool
FOLDER_mgisim   := bench/sim
ARCHIVES_mgisim := log ipc
LIBS_mgisim     := $(LIB_boring)
PATH_mgisim     := bench/mgisim
# mgictl's man page and completions, from the tables of its help.
BENCH_PROGRAMS  += mgidoc
FOLDER_mgidoc   := deploy/man
ARCHIVES_mgidoc :=
LIBS_mgidoc     := $(LIB_jansson)
PATH_mgidoc     := bench/mgidoc
FOLDER_mgispool   := bench/spool
ARCHIVES_mgispool := spool log ipc
LIBS_mgispool     :=
PATH_mgispool     := bench/mgispool
folder = $(or $(FOLDER_$(1)),workers/$(1))

# Where each program goes, below $(BUILD) as below $(PREFIX).
PATH_master  := sbin/mgid
PATH_mgictl  := bin/mgictl
path = $(or $(PATH_$(1)),libexec/mgid/$(1))
BINARIES := $(foreach p,$(PROGRAMS),$(BUILD)/$(call path,$(p)))

MODULES := $(notdir $(wildcard engine/*))
# policy/compile*.c and policy/lint*.c need jansson and belong to the compiler only.
COMPILER_SOURCES := $(wildcard policy/compile*.c policy/lint*.c)
SOURCES_policy-facts    := policy/facts.c
SOURCES_policy          := $(filter-out $(COMPILER_SOURCES) $(SOURCES_policy-facts),$(wildcard policy/*.c))
SOURCES_policy-compiler := $(COMPILER_SOURCES)
$(foreach m,$(MODULES),$(eval SOURCES_$(m) := $(wildcard engine/$(m)/*.c)))
ALL_ARCHIVES := $(MODULES) policy policy-compiler policy-facts

# What is run is shown short; `make V=1` shows whole commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))

.PHONY: all help
all: $(BINARIES) docs

define archive_rule
$(BUILD)/lib/$(1).a: $(SOURCES_$(1):%.c=$(BUILD)/obj/%.o)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(call say,AR,$$@)
	$$(Q)ar rcsD $$@ $$^
.PHONY: lib-$(1)
lib-$(1): $(BUILD)/lib/$(1).a
endef
$(foreach a,$(ALL_ARCHIVES),$(eval $(call archive_rule,$(a))))

# A build for tests/sandbox: each role tries forbidden acts behind its closed sandbox.
PROBED  := $(if $(PROBE),compiler connection keeper resolver control)
PROBE_OBJECTS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/sandbox/*.c))

define program_rule
$(BUILD)/$(call path,$(1)): $(if $(filter $(1),$(PROBED)),$(PROBE_OBJECTS)) $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard $(call folder,$(1))/*.c)) \
                            $(foreach a,$(ARCHIVES_$(1)),$(BUILD)/lib/$(a).a)
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$(CC) $(LDFLAGS_ALL) -o $$@ $$^ $(LIBS_$(1)) $(if $(filter $(1),$(PROBED)),$(LIB_uring))
.PHONY: $(1)
$(1): $(BUILD)/$(call path,$(1))
endef
$(foreach p,$(PROGRAMS) $(BENCH_PROGRAMS),$(eval $(call program_rule,$(p))))

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<

# --- unit tests: tests/unit/test_NAME.c; what it links is in UNIT_NAME (archives) and UNITLIBS_NAME.
# A unit test may take in objects of a program: UNITOBJS_NAME (sources).
-include tests/unit/units.mk
UNITS := $(patsubst tests/unit/test_%.c,%,$(wildcard tests/unit/test_*.c))
define unit_rule
$(BUILD)/tests/unit_$(1): $(BUILD)/obj/tests/unit/test_$(1).o $(UNITOBJS_$(1):%.c=$(BUILD)/obj/%.o) \
                          $(foreach a,$(UNIT_$(1)),$(BUILD)/lib/$(a).a)
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$(CC) $(LDFLAGS_ALL) -o $$@ $$^ $(UNITLIBS_$(1)) $(LIB_check)
.PHONY: unit-$(1)
unit-$(1): $(BUILD)/tests/unit_$(1)
	$(BUILD)/tests/unit_$(1)
endef
$(foreach u,$(UNITS),$(eval $(call unit_rule,$(u))))
UNIT_BINARIES := $(UNITS:%=$(BUILD)/tests/unit_%)
# Stands in for any role in tests of the master (tests/e2e/test_master.sh).
$(BUILD)/tests/fake_role: $(BUILD)/obj/tests/e2e/fake_role.o $(foreach a,sandbox log ipc,$(BUILD)/lib/$(a).a)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_seccomp)

-include tests/fuzz/targets.mk

.PHONY: units
units: $(UNIT_BINARIES)

-include deploy/man/docs.mk

# --- everything that a test needs, and the tests ---
# The recipes below begin with the set-up and then call make again: what the machine lacked when
# this file was read (pkg-config, headers) may be there by then.
TESTED := $(BINARIES) $(DOCS) $(foreach p,$(BENCH_PROGRAMS),$(BUILD)/$(call path,$(p))) $(UNIT_BINARIES) \
          $(FUZZ_BINARIES) $(BUILD)/tests/fake_role
-include tests/faults/faults.mk
ASAN   := BUILD=$(BUILD)/asan OPTIMISE=-O1 \
          SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=all"
JOBS   ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: tested test test-plain test-asan tidy setup
tested: $(TESTED)

setup:
	@deploy/setup.sh test

# Every fast test, as built for use and with ASan and UBSan.
test: setup
	@$(MAKE) --no-print-directory -j$(JOBS) tested
	@$(MAKE) --no-print-directory probed
	@$(MAKE) --no-print-directory -j$(JOBS) $(ASAN) tested
	@$(MAKE) --no-print-directory crash-built
	@tests/run.sh $(BUILD) $(BUILD)/asan

test-plain: setup
	@$(MAKE) --no-print-directory -j$(JOBS) tested
	@$(MAKE) --no-print-directory probed
	@tests/run.sh $(BUILD)

test-asan: setup
	@$(MAKE) --no-print-directory -j$(JOBS) $(ASAN) tested
	@tests/run.sh $(BUILD)/asan

tidy:
	@tests/tidy.sh

# Forbidden acts, tried inside each role of a build of their own.
.PHONY: probed test-sandbox sandbox-report
probed:
	@$(MAKE) --no-print-directory -j$(JOBS) BUILD=$(BUILD)/probe PROBE=1 CFLAGS=-DMGID_SANDBOX_PROBE all

test-sandbox: setup probed
	@tests/sandbox/run.py $(BUILD)/probe

sandbox-report: setup probed
	@tests/sandbox/run.py $(BUILD)/probe >$(BUILD)/sandbox-outcomes
	@tests/sandbox/report.py $(BUILD)/sandbox-outcomes >$(BUILD)/sandbox-report.md
	@echo $(BUILD)/sandbox-report.md

# clang's static analyser over every source; minutes, so not part of `make test`.
ANALYSED := $(wildcard engine/*/*.c policy/*.c workers/*/*.c bench/*/*.c)
.PHONY: analyse
analyse: $(ANALYSED:%=%.analysed)
%.c.analysed: %.c
	@out=$$(clang --analyze -o /dev/null -Xclang -analyzer-output=text -std=c17 -D_GNU_SOURCE \
	    -DMGID_VERSION='"$(VERSION)"' -iquote . -iquote include -isystem /usr/include/android \
	    $< 2>&1); [ -z "$$out" ] || { printf '%s\n' "$$out"; exit 1; }

-include deploy/demo.mk
-include tests/crash/crash.mk

# --- supply chain ---
.PHONY: sbom reproducible
sbom: all
	@deploy/sbom.py $(BUILD) $(VERSION) >$(BUILD)/sbom.spdx.json
	@echo $(BUILD)/sbom.spdx.json

reproducible: setup
	@tests/reproducible.sh

# --- installing ---
.PHONY: install clean
install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/mgid \
	           $(DESTDIR)$(PREFIX)/share/mgid/examples
	$(foreach p,$(PROGRAMS),install -m 755 $(BUILD)/$(call path,$(p)) $(DESTDIR)$(PREFIX)/$(call path,$(p)) &&) :
	install -m 644 policy/schema.json $(DESTDIR)$(PREFIX)/share/mgid/
	install -m 644 policy/examples/*.json policy/examples/*.expect $(DESTDIR)$(PREFIX)/share/mgid/examples/
	$(foreach d,$(DOCS),install -D -m 644 $(d) $(DESTDIR)$(PREFIX)/$(d:$(BUILD)/%=%) &&) :

clean:
	rm -rf $(BUILD)

help:
	@echo 'make              builds mgid, its roles and mgictl below $(BUILD)'
	@echo 'make demo         a gateway between a company, the internet and an IncaMail simulator, shown at work'
	@echo 'make test         every fast test, in a normal build and with ASan and UBSan'
	@echo 'make test-plain   the same, normal build only;  make test-asan: the other half'
	@echo 'make unit-NAME    one unit test (tests/unit/test_NAME.c)'
	@echo 'make test-sandbox  each forbidden act, tried in each role, and how it failed'
	@echo 'make sandbox-report  what each role may do, as one page'
	@echo 'make fuzz T=60    every fuzzed target for T seconds (TARGETS="header data"), with its coverage'
	@echo 'make compare      mails/s and CPU beside a private Postfix, same machine, same disk'
	@echo 'make interop      real clients and servers exchange mail with mgid: a table'
	@echo 'make analyse      the static analyser of clang over every source'
	@echo 'make reproducible two builds in two places, compared byte by byte'
	@echo 'make sbom         what the programs are made of, as SPDX'
	@echo 'make crash        KILLS=2000 kills of every role at named points and at random; states after a failed power'
	@echo 'make soak         SOAK=600 seconds of mixed load with kills and reloads; nothing may be lost'
	@echo 'make install      DESTDIR= PREFIX=$(PREFIX)'
	@echo 'make clean        removes $(BUILD)'
	@echo 'make V=1          shows whole commands'

.PHONY: compare
compare: setup
	@$(MAKE) --no-print-directory -j$(JOBS) tested
	@bench/compare.sh

# Real clients and servers exchange mail with mgid, in clear and with mutual TLS: a table.
.PHONY: interop
interop:
	@deploy/setup.sh interop
	@$(MAKE) --no-print-directory -j$(JOBS) tested
	@BUILD=$(BUILD) tests/interop/run.sh

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
