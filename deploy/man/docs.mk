# Man pages and shell completions, below $(BUILD)/share as below $(PREFIX)/share.
DOCS := $(addprefix $(BUILD)/share/,man/man8/mgid.8 man/man8/mgictl.8 man/man5/mgid-policy.5 \
        bash-completion/completions/mgictl zsh/site-functions/_mgictl fish/vendor_completions.d/mgictl.fish)

.PHONY: docs
docs: $(DOCS)

MGIDOC := $(BUILD)/bench/mgidoc
$(BUILD)/share/man/man8/mgictl.8: DOC := man
$(BUILD)/share/bash-completion/completions/mgictl: DOC := bash
$(BUILD)/share/zsh/site-functions/_mgictl: DOC := zsh
$(BUILD)/share/fish/vendor_completions.d/mgictl.fish: DOC := fish
$(BUILD)/share/man/man8/mgictl.8 $(BUILD)/share/bash-completion/completions/mgictl \
$(BUILD)/share/zsh/site-functions/_mgictl $(BUILD)/share/fish/vendor_completions.d/mgictl.fish: $(MGIDOC)
	@mkdir -p $(@D)
	$(call say,DOC,$@)
	$(Q)$(MGIDOC) $(DOC) >$@.new && mv $@.new $@

$(BUILD)/share/man/man8/%: deploy/man/%
	@mkdir -p $(@D)
	$(call say,DOC,$@)
	$(Q)cp $< $@
$(BUILD)/share/man/man5/mgid-policy.5: policy/schema.json $(MGIDOC)
	@mkdir -p $(@D)
	$(call say,DOC,$@)
	$(Q)$(MGIDOC) policy $< >$@.new && mv $@.new $@
