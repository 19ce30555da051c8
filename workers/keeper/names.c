/* Names of certificates against names that are wanted, label by label. */
#include "workers/keeper/names.h"

enum { LABEL_MAX = 63, NAME_MAX_BYTES = 253 };

static struct span without_dot(struct span name)
{
    if (name.n > 0 && name.p[name.n - 1] == '.')
        name.n--;
    return name;
}

static bool is_wildcard(struct span name)
{
    return name.n > 2 && name.p[0] == '*' && name.p[1] == '.';
}

static bool label_byte(unsigned char c)
{
    unsigned char l = ascii_lower(c);
    return (l >= 'a' && l <= 'z') || ascii_digit(c) || c == '-' || c == '_';
}

/* The number of labels; 0 when one is empty, too long or holds another byte. */
static unsigned count_labels(struct span name)
{
    unsigned labels = 0;
    size_t length = 0;
    for (size_t i = 0; i <= name.n; i++) {
        if (i == name.n || name.p[i] == '.') {
            if (length == 0 || length > LABEL_MAX)
                return 0;
            labels++;
            length = 0;
        } else if (label_byte(name.p[i])) {
            length++;
        } else {
            return 0;
        }
    }
    return labels;
}

bool names_well_formed(struct span presented)
{
    struct span name = without_dot(presented);
    if (name.n == 0 || name.n > NAME_MAX_BYTES)
        return false;
    if (is_wildcard(name)) /* "*.ch" would speak for a whole country */
        return count_labels(span_from(name, 2)) >= 2;
    return count_labels(name) > 0;
}

bool names_match(struct span presented, struct span wanted)
{
    if (!names_well_formed(presented))
        return false;
    presented = without_dot(presented);
    wanted = without_dot(wanted);
    if (is_wildcard(wanted)) {
        struct span suffix = span_from(wanted, 1); /* with its dot: whole labels only */
        return presented.n > suffix.n && span_iends(presented, suffix);
    }
    if (!is_wildcard(presented))
        return span_ieq(presented, wanted);
    const unsigned char *dot = wanted.n > 0 ? memchr(wanted.p, '.', wanted.n) : NULL;
    if (dot == NULL || dot == wanted.p)
        return false;
    return span_ieq(span_from(presented, 1), span_from(wanted, (size_t)(dot - wanted.p)));
}
