# What each unit test links: UNIT_NAME archives in link order, UNITLIBS_NAME libraries,
# UNITOBJS_NAME sources of a program whose pure parts are tested.
UNIT_ipc := ipc log
UNIT_log := log ipc
UNIT_counters := counters
UNIT_pool := pool log ipc
UNIT_timer := pool log ipc
UNITLIBS_log := $(LIB_jansson)
UNIT_sandbox := sandbox log ipc
UNITLIBS_sandbox := $(LIB_seccomp)
