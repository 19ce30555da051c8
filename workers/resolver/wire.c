/* DNS responses: header, names with compression, records. */
#include "workers/resolver/wire.h"

enum { HEADER = 12, LABEL_MAX = 63, CLASS_IN = 1 };

/* An expanded name: labels with their lengths, lower case, ended by the root's zero. */
struct name {
    uint8_t n;
    uint8_t octets[LIMIT_DOMAIN];
};

/* Where the reading stands; `bad` sticks. */
struct reader {
    struct span packet;
    size_t at;
    bool bad;
};

struct record_head {
    struct name owner;
    uint16_t type;
    uint16_t class;
    uint32_t ttl;
    size_t data;
    size_t length;
};

static unsigned read_u8(struct reader *r)
{
    if (r->bad || r->at >= r->packet.n) {
        r->bad = true;
        return 0;
    }
    return r->packet.p[r->at++];
}

static uint16_t read_u16(struct reader *r)
{
    unsigned high = read_u8(r);
    return (uint16_t)(high << 8 | read_u8(r));
}

static uint32_t read_u32(struct reader *r)
{
    uint32_t high = read_u16(r);
    return high << 16 | read_u16(r);
}

/* Each pointer must lead before the piece it ends, so that the walk comes to an end. */
static void read_name(struct reader *r, struct name *name)
{
    size_t after = 0, begin = r->at;
    bool jumped = false;
    name->n = 0;
    while (!r->bad) {
        unsigned length = read_u8(r);
        if (length >= 0xc0) {
            size_t target = (length & 0x3f) << 8 | read_u8(r);
            if (!jumped)
                after = r->at;
            jumped = true;
            if (target >= begin)
                r->bad = true;
            r->at = begin = target;
            continue;
        }
        if (length > LABEL_MAX || (size_t)name->n + 1 + length > sizeof name->octets)
            r->bad = true;
        if (r->bad)
            return;
        name->octets[name->n++] = (uint8_t)length;
        if (length == 0)
            break;
        for (unsigned i = 0; i < length; i++)
            name->octets[name->n++] = ascii_lower((unsigned char)read_u8(r));
    }
    if (jumped)
        r->at = after;
}

static bool name_eq(const struct name *a, const struct name *b)
{
    return a->n == b->n && memcmp(a->octets, b->octets, a->n) == 0;
}

/* As text; false when a label holds what no host name holds. The root is "". */
static bool name_text(const struct name *name, char text[LIMIT_DOMAIN + 1])
{
    size_t n = 0, i = 0;
    while (i < name->n && name->octets[i] != 0) {
        size_t length = name->octets[i++];
        if (n > 0)
            text[n++] = '.';
        for (size_t end = i + length; i < end; i++) {
            unsigned char c = name->octets[i];
            if (!(c >= 'a' && c <= 'z') && !ascii_digit(c) && c != '-' && c != '_')
                return false;
            text[n++] = (char)c;
        }
    }
    text[n] = '\0';
    return true;
}

static void read_head(struct reader *r, struct record_head *head)
{
    read_name(r, &head->owner);
    head->type = read_u16(r);
    head->class = read_u16(r);
    head->ttl = read_u32(r);
    if (head->ttl > INT32_MAX) /* RFC 2181 8 */
        head->ttl = 0;
    head->length = read_u16(r);
    head->data = r->at;
    if (r->bad || head->length > r->packet.n - r->at)
        r->bad = true;
    else
        r->at += head->length;
}

/* Data of its own reader: it may not reach past its length, though its names point back. */
static bool read_data(const struct reader *r, const struct record_head *head,
                      struct wire_record *record, bool *usable)
{
    struct reader data = {.packet = span_head(r->packet, head->data + head->length),
                          .at = head->data};
    struct name target;
    memset(record, 0, sizeof *record);
    *usable = true;
    switch (head->type) {
    case WIRE_MX:
        record->preference = read_u16(&data);
        read_name(&data, &target);
        *usable = !data.bad && name_text(&target, record->name);
        break;
    case WIRE_TLSA:
        record->usage = (uint8_t)read_u8(&data);
        record->selector = (uint8_t)read_u8(&data);
        record->matching = (uint8_t)read_u8(&data);
        record->data = span_from(data.packet, data.at);
        data.at = data.packet.n;
        break;
    default: /* A, AAAA */
        if (head->length != (head->type == WIRE_A ? 4 : 16))
            return false;
        memcpy(record->octets, r->packet.p + head->data, head->length);
        data.at += head->length;
    }
    return !data.bad && data.at == data.packet.n;
}

static void lower_ttl(uint32_t *ttl, uint32_t seen, bool first)
{
    if (first || seen < *ttl)
        *ttl = seen;
}

static void read_answers(struct reader *r, unsigned count, enum wire_type type,
                         struct name *current, void (*take)(void *, const struct wire_record *),
                         void *context, struct wire_summary *summary)
{
    struct wire_record record;
    bool first = true;
    while (count-- > 0 && !r->bad) {
        struct record_head head;
        bool usable = false;
        read_head(r, &head);
        if (r->bad || head.class != CLASS_IN || !name_eq(&head.owner, current))
            continue;
        if (head.type == WIRE_CNAME) {
            struct reader data = {.packet = span_head(r->packet, head.data + head.length),
                                  .at = head.data};
            read_name(&data, current);
            summary->aliased = true;
            r->bad = data.bad || data.at != data.packet.n;
        } else if (head.type == type) {
            r->bad = !read_data(r, &head, &record, &usable);
            summary->records++;
            summary->unusable += !usable;
        } else {
            continue;
        }
        lower_ttl(&summary->ttl, head.ttl, first);
        first = false;
        if (!r->bad && usable)
            take(context, &record);
    }
}

/* A denial lives as long as its SOA says (RFC 2308; libunbound has put the minimum in its TTL). */
static void read_denial(struct reader *r, unsigned count, bool first, struct wire_summary *summary)
{
    while (count-- > 0 && !r->bad) {
        struct record_head head;
        read_head(r, &head);
        if (r->bad || head.type != WIRE_SOA || head.class != CLASS_IN)
            continue;
        lower_ttl(&summary->ttl, head.ttl, first);
        return;
    }
}

bool wire_read(struct span packet, enum wire_type type,
               void (*take)(void *context, const struct wire_record *record), void *context,
               struct wire_summary *summary)
{
    enum { RESPONSE = 0x8000, TRUNCATED = 0x0200 };
    struct reader r = {.packet = packet};
    struct name current;
    *summary = (struct wire_summary){0};
    (void)read_u16(&r);
    unsigned flags = read_u16(&r);
    unsigned questions = read_u16(&r);
    unsigned answers = read_u16(&r);
    unsigned authority = read_u16(&r);
    (void)read_u16(&r);
    read_name(&r, &current);
    bool asked = read_u16(&r) == type && read_u16(&r) == CLASS_IN;
    if (r.bad || !asked || questions != 1 || !(flags & RESPONSE) || (flags & TRUNCATED))
        return false;
    summary->rcode = flags & 0x0f;
    read_answers(&r, answers, type, &current, take, context, summary);
    if (r.bad || !name_text(&current, summary->name))
        summary->name[0] = '\0';
    if (summary->records == 0)
        read_denial(&r, authority, answers == 0, summary);
    return !r.bad;
}

const char *wire_rcode_text(unsigned rcode)
{
    static const char *const texts[] = {"no error", "FORMERR", "SERVFAIL",
                                        "NXDOMAIN", "NOTIMP",  "REFUSED"};
    return rcode < sizeof texts / sizeof texts[0] ? texts[rcode] : "error";
}
