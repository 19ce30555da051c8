/* Writing DNS responses, and playing them to an answer. */
#include "tests/unit/dns_rig.h"
#include <check.h>

/* ---- writing of responses --------------------------------------------------------------- */

struct packet packet;

void put(const void *p, size_t n)
{
    ck_assert_uint_le(n, sizeof packet.p - packet.n);
    memcpy(packet.p + packet.n, p, n);
    packet.n += n;
}

void put_u16(unsigned v)
{
    unsigned char b[2] = {(unsigned char)(v >> 8), (unsigned char)v};
    put(b, 2);
}

void put_name(const char *name)
{
    while (*name != '\0') {
        const char *dot = strchr(name, '.');
        unsigned char n = (unsigned char)(dot != NULL ? (size_t)(dot - name) : strlen(name));
        put(&n, 1);
        put(name, n);
        name += n + (dot != NULL);
    }
    put("", 1);
}

void begin_packet(const char *name, enum wire_type type, unsigned rcode)
{
    packet.n = 0;
    put_u16(7);
    put_u16(0x8180 | rcode);
    put_u16(1);
    put_u16(0);
    put_u16(0);
    put_u16(0);
    put_name(name);
    put_u16(type);
    put_u16(1);
}

/* section: 6 for the answer's, 8 for the authority's place in the header. */
void put_record(size_t section, const char *owner, enum wire_type type, uint32_t ttl,
                const void *data, size_t n)
{
    packet.p[section + 1]++;
    if (packet.p[section + 1] == 0)
        packet.p[section]++;
    put_name(owner);
    put_u16(type);
    put_u16(1);
    put_u16(ttl >> 16);
    put_u16(ttl & 0xffff);
    put_u16((unsigned)n);
    put(data, n);
}

void put_named(const char *owner, enum wire_type type, uint32_t ttl, unsigned preference,
               const char *target)
{
    struct packet whole = packet;
    packet.n = 0;
    if (type == WIRE_MX)
        put_u16(preference);
    put_name(target);
    struct packet data = packet;
    packet = whole;
    put_record(6, owner, type, ttl, data.p, data.n);
}

void put_v4(const char *owner, uint32_t ttl, unsigned char last)
{
    unsigned char octets[4] = {192, 0, 2, last};
    put_record(6, owner, WIRE_A, ttl, octets, 4);
}

void put_v6(const char *owner, uint32_t ttl, unsigned char last)
{
    unsigned char octets[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = last};
    put_record(6, owner, WIRE_AAAA, ttl, octets, 16);
}

struct span whole(void)
{
    return span_of(packet.p, packet.n);
}

struct answer answer;
struct answer_result result;

static uint32_t chance(void *context)
{
    uint32_t *state = context;
    *state = *state * 1664525 + 1013904223;
    return *state >> 8 ^ *state << 24;
}

uint32_t dns_chance;
const struct answer_random random_source = {.next = chance, .context = &dns_chance};

/* Responders write a packet, or set `failure`. */
enum answer_state failure;
uint8_t failure_rcode;
bool secure;
const char *why;
uint16_t tlsa_port;

void answer_run(enum lookup_kind kind, const char *name,
                void (*respond)(const struct answer_query *))
{
    struct answer_query query;
    unsigned queries = 0;
    answer_begin(&answer, kind, span_str(name), tlsa_port);
    while (answer_next_query(&answer, &query)) {
        ck_assert_uint_le(++queries, 1 + 4 * LIMIT_MX);
        failure = ANSWER_UNASKED;
        failure_rcode = 0;
        secure = true;
        why = NULL;
        begin_packet(query.name, query.type, 0);
        respond(&query);
        if (failure != ANSWER_UNASKED)
            answer_fail(&answer, &query, failure, failure_rcode, why);
        else
            answer_take(&answer, &query, whole(), secure, &random_source);
    }
    answer_write(&answer, &result);
}
