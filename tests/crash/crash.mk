# make crash, make soak: what got its 250 arrives, whatever ends in between. `make test` runs short forms.
#
#   make crash KILLS=2000       kills of every role, at random and at every point of crash_points.def,
#                               under load; and POWER=300 runs of the disk that loses what was not synced
#   make soak SOAK=600          seconds of mixed load: both flows, TLS, large mails, deferrals, reloads, kills
#
# The programs for it are built apart: with crash points, and segments of 1 MiB.
KILLS ?= 2000
POWER ?= 300
SOAK  ?= 600
CRASH := BUILD=$(BUILD)/crash CFLAGS="$(CFLAGS) -DMGID_CRASH_POINTS -DLIMIT_SEGMENT_USED=1048576 -DRESTART_PAUSE_MAX=100"

.PHONY: crash crash-built crash-programs soak
crash-programs: $(BINARIES) $(BUILD)/bench/mgisim
crash-built:
	@$(MAKE) --no-print-directory -j$(JOBS) $(CRASH) crash-programs

crash: setup
	@$(MAKE) --no-print-directory -j$(JOBS) $(BUILD)/tests/unit_spool_power
	@$(MAKE) --no-print-directory crash-built
	@$(BUILD)/tests/unit_spool_power 1 $(POWER)
	@BUILD=$(BUILD)/crash KILLS=$(KILLS) tests/crash/crash.sh

soak: setup
	@$(MAKE) --no-print-directory crash-built
	@BUILD=$(BUILD)/crash SOAK=$(SOAK) tests/crash/soak.sh
