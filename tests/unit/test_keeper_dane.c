/* TLSA records against chains: which record speaks for which certificate, and what it makes good.
 */
#include "tests/unit/certs.h"
#include "tests/unit/suite.h"
#include "tlsa.h"
#include "workers/keeper/certificate.h"
#include "workers/keeper/dane.h"
#include <check.h>
#include <openssl/mem.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <time.h>

static struct cert root, other, leaf;
static char reason[LIMIT_REASON];
static unsigned char records[LIMIT_TLSA], chain_bytes[LIMIT_CHAIN];
static struct msg_writer list;
static const char *name = "mx.example.ch";

static void make_leaf(const struct cert_spec *spec)
{
    cert_free(&leaf);
    leaf = cert_make(spec, &root);
}

static void set_up(void)
{
    root = cert_make(&(struct cert_spec){.cn = "Root", .authority = true}, NULL);
    other = cert_make(&(struct cert_spec){.cn = "Other", .authority = true}, NULL);
    leaf = cert_make(&(struct cert_spec){.cn = "mx", .names = "DNS:mx.example.ch"}, &root);
    list = (struct msg_writer){.p = records, .capacity = sizeof records};
}

static void tear_down(void)
{
    cert_free(&root);
    cert_free(&other);
    cert_free(&leaf);
}

static void record(unsigned usage, unsigned selector, unsigned matching, const struct cert *of)
{
    unsigned char digest[SHA512_DIGEST_LENGTH], *der = NULL;
    int n = selector == TLSA_KEY ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(of->x509), &der)
                                 : i2d_X509(of->x509, &der);
    ck_assert_int_gt(n, 0);
    struct span data = span_of(der, (size_t)n);
    if (matching == TLSA_SHA256)
        data = span_of(SHA256(der, (size_t)n, digest), 32);
    else if (matching == TLSA_SHA512)
        data = span_of(SHA512(der, (size_t)n, digest), 64);
    const struct tlsa t = {(uint8_t)usage, (uint8_t)selector, (uint8_t)matching, data};
    tlsa_put(&list, &t);
    ck_assert(!list.overflow);
    OPENSSL_free(der);
}

static bool met(void)
{
    const char *why = NULL;
    struct msg_writer w = {.p = chain_bytes, .capacity = sizeof chain_bytes};
    const struct span names[] = {span_str(name)};
    cert_put(&w, &leaf);
    cert_put(&w, &root);
    STACK_OF(X509) *chain = certificate_chain(span_of(w.p, w.n), &why);
    ck_assert_msg(chain != NULL, "%s", why);
    bool good = dane_met(chain, span_of(list.p, list.n), names, 1, (uint64_t)time(NULL), reason);
    ck_assert(good == (reason[0] == '\0'));
    sk_X509_pop_free(chain, X509_free);
    return good;
}

START_TEST(every_kind_of_record)
{
    unsigned usage = _i < 6 ? TLSA_DANE_EE : TLSA_DANE_TA;
    const struct cert *right = usage == TLSA_DANE_EE ? &leaf : &root;
    unsigned selector = (unsigned)_i % 2, matching = (unsigned)_i % 6 / 2;
    record(usage, selector, matching, &other);
    ck_assert(!met());
    ck_assert_str_eq(reason, "no TLSA record matches the certificate or its issuers");
    record(usage, selector, matching, right); /* one of several is enough: a change of keys */
    ck_assert_msg(met(), "%s", reason);
}
END_TEST

/* RFC 7672 3.1.1: the record of the leaf itself stands above names and dates. */
START_TEST(leaf_needs_no_name_or_date)
{
    make_leaf(
        &(struct cert_spec){.cn = "x", .names = "DNS:else.example", .from = -7200, .to = -3600});
    record(TLSA_DANE_EE, TLSA_KEY, TLSA_SHA256, &leaf);
    ck_assert_msg(met(), "%s", reason);
}
END_TEST

START_TEST(authority_needs_name_and_date)
{
    record(TLSA_DANE_TA, TLSA_CERTIFICATE, TLSA_SHA256, &root);
    name = "else.example";
    ck_assert(!met());
    ck_assert_str_eq(reason,
                     "no name of the certificate matches else.example (has: mx.example.ch)");
    name = "mx.example.ch";
    make_leaf(
        &(struct cert_spec){.cn = "x", .names = "DNS:mx.example.ch", .from = -7200, .to = -3600});
    ck_assert(!met());
    ck_assert(strstr(reason, "expired") != NULL);
}
END_TEST

/* The authority stands in the chain, but has not signed the leaf. */
START_TEST(authority_beside_the_path)
{
    cert_free(&leaf);
    leaf = cert_make(&(struct cert_spec){.cn = "mx", .names = "DNS:mx.example.ch"}, &other);
    record(TLSA_DANE_TA, TLSA_KEY, TLSA_SHA256, &root);
    ck_assert(!met());
}
END_TEST

/* A leaf's record is none of an authority, nor the other way round; PKIX usages count for nothing.
 */
START_TEST(usages_do_not_mix)
{
    record(TLSA_DANE_TA, TLSA_KEY, TLSA_SHA256, &leaf);
    record(TLSA_DANE_EE, TLSA_KEY, TLSA_SHA256, &root);
    ck_assert(!met());
    list.n = 0;
    record(TLSA_PKIX_EE, TLSA_KEY, TLSA_SHA256, &leaf);
    record(TLSA_PKIX_TA, TLSA_KEY, TLSA_SHA256, &root);
    ck_assert(!tlsa_any_usable(span_of(list.p, list.n)));
    ck_assert(!met());
    ck_assert_str_eq(reason, "no TLSA record is usable");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("keeper dane");
    TCase *t = tcase_create("dane");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, every_kind_of_record, 0, 12);
    tcase_add_test(t, leaf_needs_no_name_or_date);
    tcase_add_test(t, authority_needs_name_and_date);
    tcase_add_test(t, authority_beside_the_path);
    tcase_add_test(t, usages_do_not_mix);
    suite_add_tcase(s, t);
    return suite_run(s);
}
