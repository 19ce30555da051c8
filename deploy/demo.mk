# make demo: see deploy/demo.sh.
.PHONY: demo
demo: setup
	@$(MAKE) --no-print-directory -j$(JOBS) all $(BUILD)/$(call path,mgisim)
	@BUILD=$(BUILD) deploy/demo.sh
