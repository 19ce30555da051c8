# What each unit test links: UNIT_NAME archives in link order, UNITLIBS_NAME libraries,
# UNITOBJS_NAME sources of a program whose pure parts are tested.
UNIT_ipc := ipc
UNIT_log := log ipc
