# What each fuzzed target links: FUZZ_NAME archives in link order, FUZZLIBS_NAME libraries,
# FUZZOBJS_NAME sources of a program whose pure parts are fuzzed.
FUZZ_server := smtp mime log ipc
FUZZLIBS_server := $(LIB_idn)
FUZZ_address := smtp mime log ipc
FUZZLIBS_address := $(LIB_idn)
FUZZ_reply := smtp mime log ipc
FUZZLIBS_reply := $(LIB_idn)
FUZZ_data := smtp mime log ipc
FUZZLIBS_data := $(LIB_idn)
FUZZ_client := smtp mime log ipc
FUZZLIBS_client := $(LIB_idn)
FUZZ_header := mime log ipc
FUZZ_edit := mime log ipc
FUZZ_dsn := mime log ipc
FUZZ_xtext := mime log ipc
FUZZ_ipc := ipc log
FUZZ_spool := spool log ipc
FUZZ_policy := policy-compiler policy mime log ipc
FUZZLIBS_policy := $(LIB_jansson) $(LIB_idn)
FUZZ_image := $(FUZZ_policy)
FUZZLIBS_image := $(FUZZLIBS_policy)
FUZZ_dns := log ipc
FUZZOBJS_dns := workers/resolver/wire.c workers/resolver/answer.c
FUZZ_payload := log ipc
FUZZOBJS_payload := workers/keeper/payload.c

FUZZES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
# With libFuzzer the driver comes with the sanitizer; else replay.c runs the corpus once.
FUZZ_DRIVER := $(if $(LIBFUZZER),,$(BUILD)/obj/tests/fuzz/replay.o)
define fuzz_rule
$(BUILD)/tests/fuzz_$(1): $(BUILD)/obj/tests/fuzz/fuzz_$(1).o $(FUZZ_DRIVER) \
                          $(FUZZOBJS_$(1):%.c=$(BUILD)/obj/%.o) $(foreach a,$(FUZZ_$(1)),$(BUILD)/lib/$(a).a)
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$(CC) $(LDFLAGS_ALL) -o $$@ $$^ $(FUZZLIBS_$(1))
endef
$(foreach f,$(FUZZES),$(eval $(call fuzz_rule,$(f))))
FUZZ_BINARIES := $(FUZZES:%=$(BUILD)/tests/fuzz_%)

# Seconds a target; which targets (all when empty).
T       ?= 60
TARGETS ?=
FUZZ_CHECKS := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
               -fprofile-instr-generate -fcoverage-mapping
.PHONY: fuzz fuzzers
fuzzers: $(FUZZ_BINARIES)
fuzz:
	@deploy/setup.sh fuzz
	@$(MAKE) --no-print-directory -j$(JOBS) BUILD=$(BUILD)/fuzz CC=clang LIBFUZZER=1 OPTIMISE=-O1 WARN= \
	    SANITIZE="$(FUZZ_CHECKS)" LDFLAGS="-fsanitize=fuzzer" fuzzers
	@tests/fuzz/run.sh $(BUILD)/fuzz $(T) $(TARGETS)
