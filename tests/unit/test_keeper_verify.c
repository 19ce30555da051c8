/* Verdicts on peers: each thing that can be wrong with a chain, by itself, and its reason. */
#include "engine/ipc/ipc.h"
#include "tests/unit/certs.h"
#include "tests/unit/suite.h"
#include "workers/keeper/certificate.h"
#include "workers/keeper/names.h"
#include "workers/keeper/verify.h"
#include <check.h>
#include <openssl/digest.h>
#include <openssl/mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct cert root, intermediate, other_root;
static struct trust trust;
static unsigned char bytes[LIMIT_MESSAGE];
static char reason[LIMIT_REASON];

static const struct cert_spec good_leaf = {.cn = "im.post.ch",
                                           .organization = "Post CH AG",
                                           .names = "DNS:im.post.ch,DNS:*.incamail.com",
                                           .usage = "serverAuth,clientAuth"};

static void set_up(void)
{
    struct cert_spec ca = {
        .cn = "Root", .authority = true, .key_usage = "critical,keyCertSign,cRLSign"};
    root = cert_make(&ca, NULL);
    other_root = cert_make(&ca, NULL);
    ca.cn = "Issuing";
    intermediate = cert_make(&ca, &root);
    trust = (struct trust){.name = "public", .store = X509_STORE_new(), .count = 1};
    ck_assert(X509_STORE_add_cert(trust.store, root.x509) == 1);
}

static void tear_down(void)
{
    cert_free(&root);
    cert_free(&intermediate);
    cert_free(&other_root);
    X509_STORE_free(trust.store);
}

static STACK_OF(X509) * chain_of(const struct cert *leaf, const struct cert *const *more, size_t n)
{
    const char *why = NULL;
    struct msg_writer w = {.p = bytes, .capacity = sizeof bytes};
    cert_put(&w, leaf);
    for (size_t i = 0; i < n; i++)
        cert_put(&w, more[i]);
    STACK_OF(X509) *list = certificate_chain(span_of(bytes, w.n), &why);
    ck_assert_msg(list != NULL, "%s", why);
    return list;
}

static uint64_t now(void)
{
    return (uint64_t)time(NULL);
}

/* The verdict on the path of a leaf made by spec, sent with the intermediate. */
static bool path(const struct cert_spec *spec, const struct cert *issuer, unsigned purpose)
{
    const struct cert *more[] = {&intermediate};
    struct cert leaf = cert_make(spec, issuer);
    STACK_OF(X509) *list = chain_of(&leaf, more, 1);
    bool good = verify_path(list, &trust, purpose, now(), reason);
    ck_assert(good == (reason[0] == '\0'));
    sk_X509_pop_free(list, X509_free);
    cert_free(&leaf);
    return good;
}

#define REFUSED(spec, issuer, text)                                                                \
    do {                                                                                           \
        ck_assert(!path(spec, issuer, TLS_PEER_SERVER));                                           \
        ck_assert_msg(strcmp(reason, text) == 0, "%s", reason);                                    \
    } while (0)

START_TEST(good_paths)
{
    static const enum cert_key keys[] = {CERT_P256, CERT_P384, CERT_RSA2048, CERT_ED25519};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct cert_spec spec = good_leaf;
        spec.key = keys[i];
        ck_assert_msg(path(&spec, &intermediate, TLS_PEER_SERVER), "%s", reason);
        ck_assert_msg(path(&spec, &intermediate, TLS_PEER_CLIENT), "%s", reason);
        ck_assert_msg(path(&spec, &root, TLS_PEER_SERVER), "%s", reason);
        spec.usage = NULL; /* no extended key usage: any */
        ck_assert_msg(path(&spec, &intermediate, TLS_PEER_CLIENT), "%s", reason);
        spec.digest = EVP_sha384();
        ck_assert_msg(path(&spec, &intermediate, TLS_PEER_CLIENT), "%s", reason);
    }
}
END_TEST

START_TEST(times)
{
    char date[16], want[LIMIT_REASON] = "";
    struct cert_spec spec = good_leaf;
    spec.from = -10L * 86400;
    spec.to = -2L * 86400;
    certificate_date(now() - UINT64_C(2) * 86400, date);
    text_format(want, "certificate expired %s", date);
    REFUSED(&spec, &intermediate, want);
    spec.from = 3L * 86400;
    spec.to = 0;
    certificate_date(now() + UINT64_C(3) * 86400, date);
    want[0] = '\0';
    text_format(want, "certificate not valid before %s", date);
    REFUSED(&spec, &intermediate, want);

    struct cert old = cert_make(
        &(struct cert_spec){
            .cn = "Old", .authority = true, .from = -10L * 86400, .to = -2L * 86400},
        &root);
    struct cert leaf = cert_make(&good_leaf, &old);
    const struct cert *more[] = {&old};
    STACK_OF(X509) *list = chain_of(&leaf, more, 1);
    ck_assert(!verify_path(list, &trust, TLS_PEER_SERVER, now(), reason));
    ck_assert_msg(strncmp(reason, "CA certificate 'CN=Old' expired 2", 33) == 0, "%s", reason);
    sk_X509_pop_free(list, X509_free);
    cert_free(&leaf);
    cert_free(&old);
}
END_TEST

START_TEST(issuers)
{
    struct cert_spec spec = good_leaf;
    REFUSED(&spec, NULL, "self-signed");
    /* A root of the same name with another key. */
    ck_assert(!path(&spec, &other_root, TLS_PEER_SERVER));
    ck_assert_msg(reason[0] != '\0', "%s", reason);
    struct cert unknown = cert_make(&(struct cert_spec){.cn = "Unknown", .authority = true}, NULL);
    REFUSED(&spec, &unknown, "issuer 'CN=Unknown' not in trust store 'public'");
    cert_free(&unknown);
}
END_TEST

START_TEST(intermediates)
{
    struct cert leaf = cert_make(&good_leaf, &intermediate);
    STACK_OF(X509) *list = chain_of(&leaf, NULL, 0);
    ck_assert(!verify_path(list, &trust, TLS_PEER_SERVER, now(), reason));
    ck_assert_str_eq(reason, "issuer 'CN=Issuing' not in trust store 'public' (and the peer sent "
                             "no intermediate certificate)");
    sk_X509_pop_free(list, X509_free);
    /* The order of what follows the leaf does not matter, nor what does not belong. */
    const struct cert *more[] = {&other_root, &root, &intermediate};
    list = chain_of(&leaf, more, 3);
    ck_assert_msg(verify_path(list, &trust, TLS_PEER_SERVER, now(), reason), "%s", reason);
    sk_X509_pop_free(list, X509_free);
    /* A root that the peer sends is not trusted for that. */
    struct cert own = cert_make(&(struct cert_spec){.cn = "Own", .authority = true}, NULL);
    struct cert forged = cert_make(&good_leaf, &own);
    const struct cert *with_root[] = {&own};
    list = chain_of(&forged, with_root, 1);
    ck_assert(!verify_path(list, &trust, TLS_PEER_SERVER, now(), reason));
    ck_assert_str_eq(reason, "issuer 'CN=Own' not in trust store 'public'");
    sk_X509_pop_free(list, X509_free);
    cert_free(&own);
    cert_free(&forged);
    cert_free(&leaf);
}
END_TEST

/* An ordinary certificate of a trusted CA can't issue others. */
START_TEST(leaf_as_authority)
{
    struct cert leaf = cert_make(&good_leaf, &intermediate);
    struct cert forged = cert_make(&good_leaf, &leaf);
    const struct cert *more[] = {&leaf, &intermediate};
    STACK_OF(X509) *list = chain_of(&forged, more, 2);
    ck_assert(!verify_path(list, &trust, TLS_PEER_SERVER, now(), reason));
    sk_X509_pop_free(list, X509_free);
    cert_free(&leaf);
    cert_free(&forged);
}
END_TEST

START_TEST(strength)
{
    struct cert_spec spec = good_leaf;
    spec.key = CERT_RSA1024;
    REFUSED(&spec, &intermediate, "certificate has an RSA key of 1024 bits, 2048 are wanted");
    spec = good_leaf;
    spec.digest = EVP_sha1();
    ck_assert(!path(&spec, &intermediate, TLS_PEER_SERVER));
    ck_assert_msg(strstr(reason, "SHA1") != NULL || strstr(reason, "signature") != NULL, "%s",
                  reason);
    struct cert_spec ca = {.cn = "Weak", .authority = true, .key = CERT_RSA1024};
    struct cert weak = cert_make(&ca, &root);
    struct cert leaf = cert_make(&good_leaf, &weak);
    const struct cert *more[] = {&weak};
    STACK_OF(X509) *list = chain_of(&leaf, more, 1);
    ck_assert(!verify_path(list, &trust, TLS_PEER_SERVER, now(), reason));
    ck_assert_msg(strstr(reason, "CN=Weak' has an RSA key of 1024") != NULL, "%s", reason);
    sk_X509_pop_free(list, X509_free);
    cert_free(&leaf);
    cert_free(&weak);
}
END_TEST

START_TEST(sha1_by_rsa)
{
    struct cert rsa_root =
        cert_make(&(struct cert_spec){.cn = "RSA", .authority = true, .key = CERT_RSA2048}, NULL);
    struct trust t = {.name = "rsa", .store = X509_STORE_new()};
    ck_assert(X509_STORE_add_cert(t.store, rsa_root.x509) == 1);
    static const struct {
        const EVP_MD *(*digest)(void);
        bool good;
    } cases[] = {{EVP_sha1, false}, {EVP_md5, false}, {EVP_sha256, true}, {EVP_sha512, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cert_spec spec = good_leaf;
        spec.digest = cases[i].digest();
        struct cert leaf = cert_make(&spec, &rsa_root);
        STACK_OF(X509) *list = chain_of(&leaf, NULL, 0);
        ck_assert_msg(verify_path(list, &t, TLS_PEER_SERVER, now(), reason) == cases[i].good,
                      "%zu %s", i, reason);
        sk_X509_pop_free(list, X509_free);
        cert_free(&leaf);
    }
    X509_STORE_free(t.store);
    cert_free(&rsa_root);
}
END_TEST

START_TEST(purposes)
{
    struct cert_spec spec = good_leaf;
    spec.usage = "serverAuth";
    ck_assert(path(&spec, &intermediate, TLS_PEER_SERVER));
    ck_assert(!path(&spec, &intermediate, TLS_PEER_CLIENT));
    ck_assert_str_eq(reason, "certificate not for TLS clients (key usage, clientAuth)");
    spec.usage = "clientAuth";
    ck_assert(path(&spec, &intermediate, TLS_PEER_CLIENT));
    REFUSED(&spec, &intermediate, "certificate not for TLS servers (key usage, serverAuth)");
    spec.usage = "emailProtection,codeSigning";
    ck_assert(!path(&spec, &intermediate, TLS_PEER_CLIENT));
    ck_assert(!path(&spec, &intermediate, TLS_PEER_SERVER));
    spec = good_leaf;
    spec.key_usage = "critical,cRLSign";
    ck_assert(!path(&spec, &intermediate, TLS_PEER_CLIENT));
}
END_TEST

START_TEST(lengths)
{
    struct cert leaf = cert_make(&good_leaf, &intermediate);
    const char *why = NULL;
    struct msg_writer w = {.p = bytes, .capacity = sizeof bytes};
    for (size_t i = 0; i < LIMIT_CHAIN_COUNT; i++)
        cert_put(&w, &leaf);
    STACK_OF(X509) *list = certificate_chain(span_of(bytes, w.n), &why);
    ck_assert(list != NULL);
    sk_X509_pop_free(list, X509_free);
    cert_put(&w, &leaf);
    ck_assert(certificate_chain(span_of(bytes, w.n), &why) == NULL);
    ck_assert_str_eq(why, "the chain is too long");
    ck_assert(certificate_chain(SPAN_EMPTY, &why) == NULL);
    ck_assert_str_eq(why, "the chain is empty");
    /* Every cut of a chain of one is refused, and a byte too many inside. */
    w.n = 0;
    cert_put(&w, &leaf);
    for (size_t n = 0; n < w.n; n++)
        ck_assert(certificate_chain(span_of(bytes, n), &why) == NULL);
    unsigned char *der = NULL;
    int n = i2d_X509(leaf.x509, &der);
    static unsigned char longer[8192];
    memcpy(longer, der, (size_t)n);
    w.n = 0;
    msg_put_span(&w, span_of(longer, (size_t)n + 1));
    ck_assert(certificate_chain(span_of(bytes, w.n), &why) == NULL);
    ck_assert_str_eq(why, "a certificate of the chain is malformed");
    OPENSSL_free(der);
    cert_free(&leaf);
}
END_TEST

START_TEST(no_store)
{
    struct trust none = {.name = "corp"};
    struct cert leaf = cert_make(&good_leaf, &intermediate);
    STACK_OF(X509) *list = chain_of(&leaf, NULL, 0);
    ck_assert(!verify_path(list, &none, TLS_PEER_SERVER, now(), reason));
    ck_assert_str_eq(reason, "trust store 'corp' could not be loaded");
    sk_X509_pop_free(list, X509_free);
    cert_free(&leaf);
}
END_TEST

/* ---- identity ---- */

static bool identity(const struct cert_spec *spec, const char *const *names, const char *org,
                     const char *host)
{
    struct span list[8];
    struct verify_demand demand = {.names = list, .organization = span_str(org)};
    while (names != NULL && names[demand.name_count] != NULL) {
        list[demand.name_count] = span_str(names[demand.name_count]);
        demand.name_count++;
    }
    struct cert leaf = cert_make(spec, &intermediate);
    bool good = verify_identity(leaf.x509, &demand, span_str(host), reason);
    ck_assert(good == (reason[0] == '\0'));
    cert_free(&leaf);
    return good;
}

START_TEST(identities)
{
    const char *const platform[] = {"*.incamail.com", "im.post.ch", NULL};
    const char *const other[] = {"a.example", "*.b.example", NULL};
    struct cert_spec spec = good_leaf;
    ck_assert(identity(&spec, platform, "Post CH AG", "unrelated.example"));
    ck_assert(identity(&spec, platform, "", ""));
    ck_assert(!identity(&spec, other, "", "im.post.ch"));
    ck_assert_str_eq(reason, "no name of the certificate matches a.example or *.b.example (has: "
                             "im.post.ch,*.incamail.com)");
    ck_assert(!identity(&spec, platform, "Post", ""));
    ck_assert_str_eq(reason, "organization is 'Post CH AG', wanted 'Post'");
    /* Without names in the demand the host governs. */
    ck_assert(identity(&spec, NULL, "", "im.post.ch"));
    ck_assert(identity(&spec, NULL, "", "gw1.incamail.com"));
    ck_assert(!identity(&spec, NULL, "", "incamail.com"));
    ck_assert(!identity(&spec, NULL, "", "a.gw1.incamail.com"));
    ck_assert(identity(&spec, NULL, "", "")); /* a peer without names: any */
    spec.organization = "Evil Corp";
    ck_assert(!identity(&spec, platform, "Post CH AG", ""));
    ck_assert_str_eq(reason, "organization is 'Evil Corp', wanted 'Post CH AG'");
    spec.second_organization = "Post CH AG";
    ck_assert(!identity(&spec, platform, "Post CH AG", ""));
    ck_assert(!identity(&spec, platform, "Evil Corp", ""));
    ck_assert_str_eq(reason, "organization is 'Evil Corp' (ambiguous), wanted 'Evil Corp'");
    spec = good_leaf;
    spec.organization = NULL;
    ck_assert(!identity(&spec, platform, "Post CH AG", ""));
    spec.organization = "Post CH AG\r\nX-Injected: yes";
    ck_assert(!identity(&spec, platform, "Post CH AG", ""));
    ck_assert(strpbrk(reason, "\r\n") == NULL);
    spec.organization = "Post\001AG"; /* shown with "?", and not to be met by it */
    ck_assert(!identity(&spec, platform, "Post?AG", ""));
    /* The common name alone proves nothing. */
    spec = good_leaf;
    spec.names = NULL;
    ck_assert(!identity(&spec, NULL, "", "im.post.ch"));
    ck_assert_str_eq(reason, "no name of the certificate matches im.post.ch (has: none)");
}
END_TEST

START_TEST(addresses)
{
    struct cert_spec spec = good_leaf;
    spec.names = "DNS:127.0.0.2,DNS:x.example,IP:127.0.0.1,IP:::1";
    ck_assert(identity(&spec, NULL, "", "127.0.0.1"));
    ck_assert(identity(&spec, NULL, "", "::1"));
    ck_assert(identity(&spec, NULL, "", "0:0:0:0:0:0:0:1"));
    ck_assert(!identity(&spec, NULL, "", "127.0.0.2")); /* a DNS name is no address */
    ck_assert(!identity(&spec, NULL, "", "::2"));
}
END_TEST

/* A NUL inside a name or an organization must not end it. */
START_TEST(embedded_nul)
{
    struct cert_spec spec = good_leaf;
    spec.names = "DNS:im.post.chQevil.example";
    spec.organization = "Post CH AGQEvil";
    struct cert made = cert_make(&spec, &intermediate);
    unsigned char *der = NULL;
    int n = i2d_X509(made.x509, &der);
    for (int i = 0; i < n; i++)
        if (der[i] == 'Q' && i > 2 &&
            (memcmp(der + i - 2, "ch", 2) == 0 || memcmp(der + i - 2, "AG", 2) == 0))
            der[i] = 0;
    const unsigned char *p = der;
    X509 *leaf = d2i_X509(NULL, &p, n);
    if (leaf != NULL) { /* the library may refuse it outright */
        struct span name = SPAN_LIT("im.post.ch");
        struct verify_demand demand = {.names = &name, .name_count = 1};
        ck_assert(!verify_identity(leaf, &demand, SPAN_EMPTY, reason));
        demand = (struct verify_demand){.organization = SPAN_LIT("Post CH AG")};
        ck_assert(!verify_identity(leaf, &demand, SPAN_EMPTY, reason));
        X509_free(leaf);
    }
    OPENSSL_free(der);
    cert_free(&made);
}
END_TEST

START_TEST(name_table)
{
    static const struct {
        const char *presented, *wanted;
        bool match;
    } cases[] = {
        {"im.post.ch", "im.post.ch", true},
        {"IM.Post.CH", "im.post.ch", true},
        {"im.post.ch.", "im.post.ch", true},
        {"im.post.ch", "im.post.ch.", true},
        {"im.post.ch", "post.ch", false},
        {"post.ch", "im.post.ch", false},
        {"xim.post.ch", "im.post.ch", false},
        {"im.post.chx", "im.post.ch", false},
        {"*.post.ch", "im.post.ch", true},
        {"*.post.ch", "a.im.post.ch", false},
        {"*.post.ch", "post.ch", false},
        {"*.post.ch", ".post.ch", false},
        {"*.ch", "post.ch", false},
        {"*", "ch", false},
        {"*.*.ch", "im.post.ch", false},
        {"i*.post.ch", "im.post.ch", false},
        {"*m.post.ch", "im.post.ch", false},
        {"im.*.ch", "im.post.ch", false},
        {"gw1.incamail.com", "*.incamail.com", true},
        {"a.b.incamail.com", "*.incamail.com", true},
        {"*.incamail.com", "*.incamail.com", true},
        {"*.gw.incamail.com", "*.incamail.com", true},
        {"incamail.com", "*.incamail.com", false},
        {"evil-incamail.com", "*.incamail.com", false},
        {"x.evil-incamail.com", "*.incamail.com", false},
        {"*.com", "*.incamail.com", false},
        {".incamail.com", "*.incamail.com", false},
        {"a..incamail.com", "*.incamail.com", false},
        {"a b.incamail.com", "*.incamail.com", false},
        {"", "", false},
        {"", "im.post.ch", false},
        {".", ".", false},
        {"im.post.ch", "", false},
        {"xn--bcher-kva.example", "XN--bcher-kva.example", true},
        {"_smtp.post.ch", "_smtp.post.ch", true},
        {"b\xc3\xbc.ch", "b\xc3\xbc.ch", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(names_match(span_str(cases[i].presented), span_str(cases[i].wanted)) ==
                          cases[i].match,
                      "%s against %s", cases[i].presented, cases[i].wanted);
    ck_assert(!names_match(span_of("im.post.ch\0.x", 13), span_str("im.post.ch")));
    char label[80];
    memset(label, 'a', sizeof label);
    memcpy(label + 64, ".example", 9);
    ck_assert(!names_well_formed(span_str(label)));
    ck_assert(names_well_formed(span_str(label + 1)));
}
END_TEST

START_TEST(digests)
{
    unsigned char sha256[32];
    char fingerprint[65], pin[65], other[65];
    struct cert leaf = cert_make(&good_leaf, &intermediate);
    struct span wanted[2];
    certificate_sha256(leaf.x509, sha256);
    for (size_t i = 0; i < 32; i++)
        (void)snprintf(fingerprint + 2 * i, 3, "%02x", sha256[i]);
    verify_key_sha256(leaf.x509, sha256);
    for (size_t i = 0; i < 32; i++)
        (void)snprintf(pin + 2 * i, 3, "%02x", sha256[i]);
    memset(other, '0', 64);
    other[64] = '\0';
    struct verify_demand demand = {.fingerprints = wanted, .fingerprint_count = 1};
    wanted[0] = span_str(fingerprint);
    ck_assert(verify_identity(leaf.x509, &demand, SPAN_EMPTY, reason));
    wanted[0] = span_str(pin);
    ck_assert(!verify_identity(leaf.x509, &demand, SPAN_EMPTY, reason));
    ck_assert(strstr(reason, fingerprint) != NULL);
    wanted[0] = span_str(other);
    wanted[1] = span_str(pin);
    demand = (struct verify_demand){.pins = wanted, .pin_count = 1};
    ck_assert(!verify_identity(leaf.x509, &demand, SPAN_EMPTY, reason));
    ck_assert(strstr(reason, pin) != NULL);
    demand.pin_count = 2;
    ck_assert(verify_identity(leaf.x509, &demand, SPAN_EMPTY, reason));
    cert_free(&leaf);
}
END_TEST

/* ---- revocation ---- */

static X509_CRL *list_of(const struct cert *issuer, const X509 *revoked, long from, long to)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *this = X509_gmtime_adj(NULL, from), *next = X509_gmtime_adj(NULL, to);
    ck_assert(X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1);
    ck_assert(X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->x509)) == 1);
    ck_assert(X509_CRL_set1_lastUpdate(crl, this) == 1 && X509_CRL_set1_nextUpdate(crl, next) == 1);
    if (revoked != NULL) {
        X509_REVOKED *entry = X509_REVOKED_new();
        ck_assert(X509_REVOKED_set_serialNumber(entry, X509_get0_serialNumber(revoked)) == 1 &&
                  X509_REVOKED_set_revocationDate(entry, this) == 1 &&
                  X509_CRL_add0_revoked(crl, entry) == 1);
    }
    ck_assert(X509_CRL_sort(crl) == 1 && X509_CRL_sign(crl, issuer->key, EVP_sha256()) > 0);
    ASN1_TIME_free(this);
    ASN1_TIME_free(next);
    return crl;
}

/* The verdict on the leaf where the store has that list. */
static bool with_list(const struct cert *leaf, X509_CRL *crl)
{
    const struct cert *more[] = {&intermediate};
    struct trust listed = {.name = "public", .store = X509_STORE_new(), .revocation = true};
    ck_assert(X509_STORE_add_cert(listed.store, root.x509) == 1);
    ck_assert(X509_STORE_add_crl(listed.store, crl) == 1);
    STACK_OF(X509) *list = chain_of(leaf, more, 1);
    bool good = verify_path(list, &listed, TLS_PEER_SERVER, now(), reason);
    sk_X509_pop_free(list, X509_free);
    X509_STORE_free(listed.store);
    X509_CRL_free(crl);
    return good;
}

START_TEST(revocation)
{
    struct cert leaf = cert_make(&good_leaf, &intermediate);
    struct cert other = cert_make(&good_leaf, &intermediate);
    ck_assert_msg(with_list(&leaf, list_of(&intermediate, NULL, -60, 3600)), "%s", reason);
    ck_assert(with_list(&leaf, list_of(&intermediate, other.x509, -60, 3600)));
    ck_assert(!with_list(&leaf, list_of(&intermediate, leaf.x509, -60, 3600)));
    ck_assert_str_eq(reason, "certificate is revoked");
    ck_assert(!with_list(&leaf, list_of(&root, intermediate.x509, -60, 3600)));
    ck_assert_str_eq(reason, "CA certificate 'CN=Issuing' is revoked");
    /* One that is out of date says nothing, and that is not enough. */
    ck_assert(!with_list(&leaf, list_of(&intermediate, NULL, -7200, -3600)));
    ck_assert_str_eq(reason,
                     "certificate: its issuer's revocation list in 'public' is out of date");
    /* A list that somebody else signed in the issuer's name. */
    struct cert forger = intermediate;
    forger.key = other_root.key;
    ck_assert(!with_list(&leaf, list_of(&forger, NULL, -60, 3600)));
    /* No list of this issuer. */
    struct cert elsewhere = cert_make(&(struct cert_spec){.cn = "Else", .authority = true}, NULL);
    ck_assert(with_list(&leaf, list_of(&elsewhere, leaf.x509, -60, 3600)));
    cert_free(&elsewhere);
    cert_free(&leaf);
    cert_free(&other);
}
END_TEST

START_TEST(description)
{
    struct verdict v = {0};
    struct cert leaf = cert_make(&good_leaf, &intermediate);
    verify_describe(leaf.x509, &v);
    ck_assert_str_eq(v.subject, "CN=im.post.ch,O=Post CH AG");
    ck_assert_str_eq(v.issuer, "CN=Issuing");
    ck_assert_str_eq(v.organization, "Post CH AG");
    ck_assert_str_eq(v.names, "im.post.ch,*.incamail.com");
    ck_assert(v.not_after > now() + UINT64_C(99) * 86400);
    ck_assert(v.not_after < now() + UINT64_C(101) * 86400);
    cert_free(&leaf);
    struct cert_spec umlaut = {.cn = "M\xc3\xbcller\x01\n", .organization = "\xc3\x84rzte AG"};
    leaf = cert_make(&umlaut, &intermediate);
    verify_describe(leaf.x509, &v);
    ck_assert_str_eq(v.organization, "\xc3\x84rzte AG");
    for (const char *p = v.subject; *p != '\0'; p++)
        ck_assert((unsigned char)*p >= 0x20);
    ck_assert(strncmp(v.subject, "CN=M\xc3\xbcller", 10) == 0);
    cert_free(&leaf);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("keeper verify");
    TCase *t = tcase_create("verify");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, good_paths);
    tcase_add_test(t, times);
    tcase_add_test(t, issuers);
    tcase_add_test(t, intermediates);
    tcase_add_test(t, leaf_as_authority);
    tcase_add_test(t, strength);
    tcase_add_test(t, sha1_by_rsa);
    tcase_add_test(t, purposes);
    tcase_add_test(t, lengths);
    tcase_add_test(t, no_store);
    tcase_add_test(t, identities);
    tcase_add_test(t, addresses);
    tcase_add_test(t, embedded_nul);
    tcase_add_test(t, name_table);
    tcase_add_test(t, digests);
    tcase_add_test(t, revocation);
    tcase_add_test(t, description);
    suite_add_tcase(s, t);
    return suite_run(s);
}
