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
UNIT_tls := tls log ipc
UNITLIBS_tls := $(LIB_boring)
UNITOBJS_tls := tests/unit/certs.c tests/unit/tls_pair.c workers/keeper/payload.c workers/keeper/signer.c
UNIT_tls_data := $(UNIT_tls)
UNITLIBS_tls_data := $(LIB_boring)
UNITOBJS_tls_data := $(UNITOBJS_tls)
UNIT_tls_resume := $(UNIT_tls)
UNITLIBS_tls_resume := $(LIB_boring)
UNITOBJS_tls_resume := $(UNITOBJS_tls)
UNITOBJS_keeper_payload := workers/keeper/payload.c
UNIT_keeper_verify := log ipc
UNITLIBS_keeper_verify := $(LIB_boring)
UNITOBJS_keeper_verify := tests/unit/certs.c workers/keeper/verify.c workers/keeper/names.c workers/keeper/certificate.c
UNIT_keeper := policy-compiler policy mime log ipc
UNITLIBS_keeper := $(LIB_boring) $(LIB_jansson) $(LIB_idn)
UNITOBJS_keeper := tests/unit/certs.c $(filter-out workers/keeper/main.c,$(wildcard workers/keeper/*.c))
# The program itself, with the test as its master, workers and clients.
UNIT_control := admin counters ipc log
UNITLIBS_control := $(LIB_jansson)
UNITOBJS_control := tests/unit/control_stand.c
$(BUILD)/tests/unit_control: | $(BUILD)/libexec/mgid/control
UNIT_smtp_data := smtp mime log ipc
UNITLIBS_smtp_data := $(LIB_idn)
UNIT_smtp_address := smtp mime log ipc
UNITLIBS_smtp_address := $(LIB_idn)
UNIT_smtp_reply := smtp mime log ipc
UNITLIBS_smtp_reply := $(LIB_idn)
UNIT_smtp_server := smtp mime log ipc
UNITLIBS_smtp_server := $(LIB_idn)
UNIT_smtp_client := smtp mime log ipc
UNITLIBS_smtp_client := $(LIB_idn)
UNIT_restart := policy log ipc
UNITOBJS_restart := workers/master/restart.c
UNIT_mime := mime log ipc
UNIT_policy := policy-compiler policy log ipc
UNITLIBS_policy := $(LIB_jansson) $(LIB_idn)
UNITOBJS_policy := tests/unit/policy_rig.c
UNIT_policy_image := policy-compiler policy log ipc
UNITLIBS_policy_image := $(LIB_jansson) $(LIB_idn)
UNITOBJS_policy_image := tests/unit/policy_rig.c
UNIT_policy_errors := policy-compiler policy log ipc
UNITLIBS_policy_errors := $(LIB_jansson) $(LIB_idn)
UNIT_policy_compile := policy-compiler policy log ipc
UNITLIBS_policy_compile := $(LIB_jansson) $(LIB_idn)
$(BUILD)/tests/unit_mgictl: | $(BUILD)/bin/mgictl
UNIT_dsn := mime log ipc
UNIT_keeper_process := policy-compiler policy mime log ipc
UNITLIBS_keeper_process := $(LIB_boring) $(LIB_jansson) $(LIB_idn)
UNITOBJS_keeper_process := tests/unit/certs.c
$(BUILD)/tests/unit_keeper_process: | $(BUILD)/libexec/mgid/keeper
UNIT_spool_record := spool log ipc
UNIT_tls_context := tls log ipc
UNITLIBS_tls_context := $(LIB_boring)
UNITOBJS_tls_context := tests/unit/certs.c
UNIT_resolver := log ipc
UNITOBJS_resolver := workers/resolver/wire.c workers/resolver/answer.c
UNIT_spool := spool log ipc
UNITOBJS_spool := tests/unit/spool_rig.c
UNIT_spool_large := spool log ipc
UNITOBJS_spool_large := tests/unit/spool_rig.c
UNIT_spool_crash := spool log ipc
UNITOBJS_spool_crash := tests/unit/spool_rig.c
UNIT_resolver_process := policy-compiler policy log ipc
UNITLIBS_resolver_process := $(LIB_jansson) $(LIB_idn)
$(BUILD)/tests/unit_resolver_process: | $(BUILD)/libexec/mgid/resolver
UNIT_ring := ring log ipc
UNITLIBS_ring := $(LIB_uring)
UNIT_edit := mime log ipc
