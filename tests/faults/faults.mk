# A file system that fails when it is told to, for tests/e2e/test_faults.sh; only where libfuse3 is.
ifneq ($(wildcard /usr/include/fuse3/fuse.h),)
TESTED += $(BUILD)/tests/faultfs
$(BUILD)/tests/faultfs: tests/faults/faultfs.c
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -D_FILE_OFFSET_BITS=64 -isystem /usr/include/fuse3 $(LDFLAGS_ALL) -o $@ $< -lfuse3
endif
