/* Matching of mails by what an operator gave. */
#include "workers/connection/filter.h"

/* The usual two fingers: what the last * took grows by one when the rest does not match. */
static bool glob(struct span pattern, struct span text)
{
    size_t p = 0, t = 0;
    size_t star = pattern.n, taken = 0; /* star: pattern.n means none yet */
    while (t < text.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            taken = t;
        } else if (p < pattern.n && ascii_lower(pattern.p[p]) == ascii_lower(text.p[t])) {
            p++;
            t++;
        } else if (star < pattern.n) {
            p = star + 1;
            t = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

static struct span domain_of(struct span address)
{
    size_t i = address.n;
    while (i > 0 && address.p[i - 1] != '@')
        i--;
    return span_from(address, i);
}

bool filter_address(struct span pattern, struct span address)
{
    bool whole = pattern.n > 0 && memchr(pattern.p, '@', pattern.n) != NULL;
    return glob(pattern, whole ? address : domain_of(address));
}

bool filter_entry(const struct filter *f, uint64_t arrival, uint64_t size)
{
    return arrival >= f->arrived_from && arrival <= f->arrived_to && size >= f->size_min &&
           size <= f->size_max;
}

bool filter_sender(const struct filter *f, struct span sender)
{
    if (f->sender.n == 0)
        return true;
    if (span_eq(f->sender, SPAN_LIT("<>")))
        return sender.n == 0;
    return sender.n > 0 && filter_address(f->sender, sender);
}

static bool contains(struct span text, struct span part)
{
    for (size_t i = 0; i + part.n <= text.n; i++)
        if (span_ieq(span_of(text.p + i, part.n), part))
            return true;
    return false;
}

bool filter_recipient(const struct filter *f, struct span address, struct span route,
                      struct span reason)
{
    return (f->recipient.n == 0 || filter_address(f->recipient, address)) &&
           (f->route.n == 0 || span_eq(f->route, route)) &&
           (f->reason.n == 0 || contains(reason, f->reason));
}
