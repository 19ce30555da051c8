/* Changes of headers: any text of them and any section; what is promised of the result holds. */
#include "engine/mime/edit.h"
#include "engine/mime/header.h"
#include "tests/fuzz/fuzz.h"

/* The first subject that a client finds, decoded. */
static size_t subject(struct span section, unsigned char out[LIMIT_HEADER_DECODED], bool *cut)
{
    static unsigned char buffer[LIMIT_HEADER_BUFFER];
    struct header_want want = {.name = SPAN_LIT("Subject"), .mode = HEADER_FIRST};
    struct header_scanner s;
    header_begin(&s, &want, 1, buffer, sizeof buffer);
    (void)header_feed(&s, section);
    header_finish(&s);
    *cut = s.fields[0].truncated || s.too_large || s.bare;
    return header_decode(header_value(&s, 0), out, LIMIT_HEADER_DECODED, NULL);
}

/* The prefix stands at the begin of what is shown, wherever the section could be read whole. */
static void check_prefix(struct span prefix, struct span section)
{
    static unsigned char shown[LIMIT_HEADER_DECODED];
    bool cut;
    size_t n = subject(section, shown, &cut);
    struct span tag = span_trim(prefix);
    FUZZ_CHECK(cut || (n >= tag.n && memcmp(shown, tag.p, tag.n) == 0));
}

static bool is_utf8_text(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= 0x80)
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    size_t n = fuzz_byte(&in);
    struct span edits = span_head(in, n);
    struct span section = span_from(in, n);
    size_t end = edit_section(section);
    if (end > 0)
        section = span_head(section, end);
    unsigned char *copy = fuzz_copy(section);
    unsigned char *out = malloc(section.n + LIMIT_EDIT_GROWTH);
    FUZZ_CHECK(out != NULL);
    section = span_of(copy, section.n);
    size_t length = edits_apply(edits, section, out, section.n + LIMIT_EDIT_GROWTH);
    if (!edits_valid(edits)) {
        FUZZ_CHECK(length == 0);
    } else {
        struct span rest = edits;
        FUZZ_CHECK(length > 0 || section.n == 0);
        for (struct edit e; end > 0 && edit_next(&rest, &e);)
            if (e.kind == EDIT_PREFIX_SUBJECT && is_utf8_text(e.value))
                check_prefix(e.value, span_of(out, length));
        FUZZ_CHECK(end == 0 || edit_section(span_of(out, length)) == length);
    }
    free(out);
    free(copy);
    return 0;
}
