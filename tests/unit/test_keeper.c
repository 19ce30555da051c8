/* The keeper's answers, from a compiled policy and files made here. */
#include "engine/log/log.h"
#include "policy/compile.h"
#include "tests/unit/certs.h"
#include "tests/unit/keeper_policy.h"
#include "tests/unit/suite.h"
#include "workers/keeper/certificate.h"
#include "workers/keeper/keeper.h"
#include "workers/keeper/signer.h"
#include <check.h>
#include <fcntl.h>
#include <openssl/digest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct policy_compilation compiled;
static struct policy policy;
static struct cert root, server, client, platform;
static char *root_pem, *server_pem, *server_key, *client_pem, *client_key;
static struct keeper keeper;
static struct keeper_answer answer;
static char report[LIMIT_REPORT];
static unsigned char bytes[LIMIT_MESSAGE];

static uint64_t now(void)
{
    return (uint64_t)time(NULL);
}

static void load(struct generation *g)
{
    generation_identity(g, SERVER_ID, span_str(server_pem), span_str(server_key), now());
    generation_identity(g, CLIENT_ID, span_str(client_pem), span_str(client_key), now());
    generation_trust(g, PUBLIC_TRUST, span_str(root_pem));
    generation_trust(g, CORPORATE_TRUST, span_str(root_pem));
}

static struct generation *stage(uint32_t number)
{
    return keeper.staged = generation_new(number, &policy, false);
}

static void set_up(void)
{
    char reason[LIMIT_REASON] = "";
    memset(&keeper, 0, sizeof keeper);
    log_set_level(LOG_ERROR);
    log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (!policy_compile(span_of(policy_text, sizeof policy_text - 1), &compiled))
        ck_abort_msg("%s %s", compiled.diagnostics[0].pointer, compiled.diagnostics[0].what);
    ck_assert_msg(policy_open(&policy, span_of(compiled.image, compiled.image_size), reason), "%s",
                  reason);
    root = cert_make(&(struct cert_spec){.cn = "Root", .authority = true}, NULL);
    server = cert_make(&(struct cert_spec){.cn = "mx1", .key = CERT_RSA2048, .usage = "serverAuth"},
                       &root);
    client = cert_make(&(struct cert_spec){.cn = "gw", .usage = "clientAuth"}, &root);
    platform = cert_make(&(struct cert_spec){.cn = "im.post.ch",
                                             .organization = "Post CH AG",
                                             .names = "DNS:im.post.ch,DNS:gw1.incamail.com",
                                             .usage = "serverAuth,clientAuth"},
                         &root);
    root_pem = cert_pem(&root);
    server_pem = cert_pem(&server);
    server_key = cert_key_pem(&server);
    client_pem = cert_pem(&client);
    client_key = cert_key_pem(&client);
    load(stage(7));
    ck_assert_msg(generation_usable(keeper.staged, true, now(), report), "%s", report);
    ck_assert_str_eq(report, "");
    keeper_promote(&keeper);
}

static void tear_down(void)
{
    keeper_free(&keeper);
    char *texts[] = {root_pem, server_pem, server_key, client_pem, client_key};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    cert_free(&root);
    cert_free(&server);
    cert_free(&client);
    cert_free(&platform);
    policy_compilation_free(&compiled);
}

/* Asks, and passes the reply through the codec as the channel does. */
static void ask(const char *flow, const struct ipc_message *request)
{
    static unsigned char packet[LIMIT_MESSAGE];
    struct ipc_message decoded;
    keeper_answer(&keeper, span_str(flow), request, now(), &answer);
    size_t n = ipc_encode(&answer.reply, packet, sizeof packet);
    ck_assert_uint_gt(n, 0);
    ck_assert_int_eq(ipc_decode(span_of(packet, n), ROLE_KEEPER, ROLE_CONNECTION, &decoded),
                     IPC_OK);
    ck_assert_int_eq(decoded.kind, answer.reply.kind);
}

static char *joined(const char *a, const char *b, const char *c)
{
    size_t n = strlen(a) + strlen(b) + strlen(c) + 1;
    char *text = malloc(n);
    ck_assert(text != NULL);
    (void)snprintf(text, n, "%s%s%s", a, b, c);
    return text;
}

/* ---- chains ---- */

static enum keeper_status ask_chain(const char *flow, uint32_t generation, uint16_t identity)
{
    struct ipc_message m = {
        .kind = MSG_chain_request,
        .chain_request = {.id = 99, .generation = generation, .identity = identity}};
    ask(flow, &m);
    ck_assert_int_eq(answer.reply.kind, MSG_chain_result);
    ck_assert_uint_eq(answer.reply.chain_result.id, 99);
    enum keeper_status status = answer.reply.chain_result.status;
    ck_assert((status == KEEPER_OK) == (answer.reply.chain_result.chain.n > 0));
    ck_assert((status == KEEPER_REFUSED) == (answer.refusal[0] != '\0'));
    return status;
}

START_TEST(chains)
{
    struct msg_writer w = {.p = bytes, .capacity = sizeof bytes};
    ck_assert_int_eq(ask_chain("outbound", 7, SERVER_ID), KEEPER_OK);
    cert_put(&w, &server);
    ck_assert(span_eq(answer.reply.chain_result.chain, span_of(bytes, w.n)));
    ck_assert_int_eq(ask_chain("outbound", 7, CLIENT_ID), KEEPER_OK);
    ck_assert_int_eq(ask_chain("inbound", 7, SERVER_ID), KEEPER_OK);
    ck_assert_int_eq(ask_chain("inbound", 7, CLIENT_ID), KEEPER_REFUSED);
    ck_assert_int_eq(ask_chain("nobody", 7, SERVER_ID), KEEPER_REFUSED);
    ck_assert_int_eq(ask_chain("", 7, SERVER_ID), KEEPER_REFUSED);
    ck_assert_int_eq(ask_chain("outbound", 7, 2), KEEPER_REFUSED);
    ck_assert_int_eq(ask_chain("outbound", 7, 65535), KEEPER_REFUSED);
    ck_assert_int_eq(ask_chain("outbound", 8, SERVER_ID), KEEPER_UNKNOWN_GENERATION);
}
END_TEST

/* ---- signatures ---- */

static struct span tls13_payload(const char *context)
{
    size_t n = strlen(context) + 1;
    memset(bytes, ' ', 64);
    memcpy(bytes + 64, context, n);
    memset(bytes + 64 + n, 1, 32);
    return span_of(bytes, 64 + n + 32);
}

static enum keeper_status ask_sign(const char *flow, uint16_t identity, unsigned purpose,
                                   uint16_t algorithm, struct span payload)
{
    struct ipc_message m = {.kind = MSG_sign_request,
                            .sign_request = {.id = 5,
                                             .generation = 7,
                                             .identity = identity,
                                             .purpose = (uint8_t)purpose,
                                             .algorithm = algorithm,
                                             .payload = payload}};
    ask(flow, &m);
    ck_assert_uint_eq(answer.reply.sign_result.id, 5);
    enum keeper_status status = answer.reply.sign_result.status;
    ck_assert((status == KEEPER_OK) == (answer.reply.sign_result.signature.n > 0));
    ck_assert((status == KEEPER_REFUSED) == (answer.refusal[0] != '\0'));
    return status;
}

enum {
    PKCS1_SHA1 = 0x201,
    PKCS1 = 0x401,
    PSS = 0x804,
    P256 = 0x403,
    P384 = 0x503,
    ECDSA_SHA1 = 0x203
};

START_TEST(signatures)
{
    struct span payload = tls13_payload("TLS 1.3, server CertificateVerify");
    ck_assert_int_eq(ask_sign("inbound", SERVER_ID, TLS_AS_SERVER, PSS, payload), KEEPER_OK);
    EVP_MD_CTX ctx;
    EVP_PKEY_CTX *key = NULL;
    struct span s = answer.reply.sign_result.signature;
    EVP_MD_CTX_init(&ctx);
    ck_assert(EVP_DigestVerifyInit(&ctx, &key, EVP_sha256(), NULL, server.key) == 1);
    ck_assert(EVP_PKEY_CTX_set_rsa_padding(key, 6) == 1);
    ck_assert(EVP_PKEY_CTX_set_rsa_pss_saltlen(key, -1) == 1);
    ck_assert(EVP_DigestVerify(&ctx, s.p, s.n, payload.p, payload.n) == 1);
    EVP_MD_CTX_cleanup(&ctx);
    /* The purpose decides with the flow, whatever the payload says. */
    ck_assert_int_eq(ask_sign("inbound", SERVER_ID, TLS_AS_CLIENT, PSS, payload), KEEPER_REFUSED);
    ck_assert_int_eq(ask_sign("inbound", SERVER_ID, 0, PSS, payload), KEEPER_REFUSED);
    ck_assert_int_eq(ask_sign("inbound", SERVER_ID, TLS_PEER_CLIENT, PSS, payload), KEEPER_REFUSED);
    ck_assert_int_eq(ask_sign("outbound", CLIENT_ID, TLS_AS_SERVER, P256, payload), KEEPER_REFUSED);
    payload = tls13_payload("TLS 1.3, client CertificateVerify");
    ck_assert_int_eq(ask_sign("outbound", CLIENT_ID, TLS_AS_CLIENT, P256, payload), KEEPER_OK);
    ck_assert_int_eq(ask_sign("inbound", CLIENT_ID, TLS_AS_CLIENT, P256, payload), KEEPER_REFUSED);
    ck_assert_int_eq(ask_sign("outbound", SERVER_ID, TLS_AS_SERVER, PSS, payload), KEEPER_REFUSED);
    ck_assert_int_eq(ask_sign("outbound", CLIENT_ID, TLS_AS_CLIENT, P256, SPAN_LIT("{\"alg\":1}")),
                     KEEPER_REFUSED);
}
END_TEST

START_TEST(algorithms)
{
    struct span payload = tls13_payload("TLS 1.3, client CertificateVerify");
    static const uint16_t wrong[] = {P384, PSS, PKCS1, PKCS1_SHA1, ECDSA_SHA1, 0x807, 0, 0xff01};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_int_eq(ask_sign("outbound", CLIENT_ID, TLS_AS_CLIENT, wrong[i], payload),
                         KEEPER_REFUSED);
    payload = tls13_payload("TLS 1.3, server CertificateVerify");
    ck_assert_int_eq(ask_sign("inbound", SERVER_ID, TLS_AS_SERVER, PKCS1, payload), KEEPER_REFUSED);
    memset(bytes, 9, 100); /* TLS 1.2, X25519 */
    memcpy(bytes + 64, "\x03\x00\x1d\x20", 4);
    payload = span_of(bytes, 100);
    ck_assert_int_eq(ask_sign("inbound", SERVER_ID, TLS_AS_SERVER, PKCS1, payload), KEEPER_OK);
    ck_assert_int_eq(ask_sign("inbound", SERVER_ID, TLS_AS_SERVER, PSS, payload), KEEPER_OK);
    ck_assert_int_eq(ask_sign("inbound", SERVER_ID, TLS_AS_SERVER, PKCS1_SHA1, payload),
                     KEEPER_REFUSED);
    ck_assert_int_eq(ask_sign("inbound", SERVER_ID, TLS_AS_SERVER, 0xff01, payload),
                     KEEPER_REFUSED);
}
END_TEST

/* ---- verdicts ---- */

static const struct msg_verify_result *ask_verify(const char *flow, unsigned purpose,
                                                  uint16_t subject, const char *host,
                                                  const struct cert *leaf)
{
    struct msg_writer w = {.p = bytes, .capacity = sizeof bytes};
    if (leaf != NULL)
        cert_put(&w, leaf);
    struct ipc_message m = {.kind = MSG_verify_request,
                            .verify_request = {.id = 3,
                                               .generation = 7,
                                               .purpose = (uint8_t)purpose,
                                               .subject = subject,
                                               .host = span_str(host),
                                               .chain = span_of(bytes, w.n)}};
    ask(flow, &m);
    ck_assert_uint_eq(answer.reply.verify_result.id, 3);
    return &answer.reply.verify_result;
}

static void expect_reason(const struct msg_verify_result *r, const char *want)
{
    ck_assert_msg(span_eq(r->reason, span_str(want)), "%.*s", (int)r->reason.n,
                  (const char *)r->reason.p);
}

START_TEST(servers)
{
    const struct msg_verify_result *r =
        ask_verify("outbound", TLS_PEER_SERVER, INCAMAIL_ROUTE, "mx.post.ch", &platform);
    ck_assert_int_eq(r->status, KEEPER_OK);
    expect_reason(r, "");
    ck_assert(r->verified == 1 && r->peers == 0);
    ck_assert(span_eq(r->organization, SPAN_LIT("Post CH AG")));
    ck_assert(span_eq(r->names, SPAN_LIT("im.post.ch,gw1.incamail.com")));
    ck_assert_uint_eq(r->sha256.n, 32);
    r = ask_verify("outbound", TLS_PEER_SERVER, EXCHANGE_ROUTE, "exchange.example.ch", &platform);
    ck_assert(r->verified == 0);
    expect_reason(r, "no name of the certificate matches exchange.example.ch (has: im.post.ch,"
                     "gw1.incamail.com)");
    r = ask_verify("outbound", TLS_PEER_SERVER, BLIND_ROUTE, "x.example", &client);
    ck_assert(r->verified == 1);
    expect_reason(r, "not verified: the route names no trust");
    r = ask_verify("outbound", TLS_PEER_SERVER, INCAMAIL_ROUTE, "", NULL);
    ck_assert(r->status == KEEPER_OK && r->verified == 0);
    expect_reason(r, "the chain is empty");
    ck_assert_int_eq(ask_verify("outbound", TLS_PEER_SERVER, 3, "", &platform)->status,
                     KEEPER_REFUSED);
    ck_assert_int_eq(ask_verify("outbound", TLS_AS_SERVER, 0, "", &platform)->status,
                     KEEPER_REFUSED);
}
END_TEST

START_TEST(clients)
{
    const struct msg_verify_result *r =
        ask_verify("inbound", TLS_PEER_CLIENT, INBOUND, "", &platform);
    ck_assert(r->status == KEEPER_OK && r->verified == 1);
    ck_assert_uint_eq(r->peers, 1); /* incamail, not partner, and exchange demands no TLS */
    expect_reason(r, "");
    /* Trusted, but no peer. */
    r = ask_verify("inbound", TLS_PEER_CLIENT, INBOUND, "", &client);
    ck_assert(r->verified == 1 && r->peers == 0);
    expect_reason(r, "not peer 'incamail': no name of the certificate matches *.incamail.com or "
                     "im.post.ch (has: none)");
    /* A certificate for servers only. */
    r = ask_verify("inbound", TLS_PEER_CLIENT, INBOUND, "", &server);
    ck_assert(r->verified == 0 && r->peers == 0);
    expect_reason(r,
                  "not peer 'incamail': certificate not for TLS clients (key usage, clientAuth)");
    struct cert_spec spec = {.cn = "x",
                             .names = "DNS:im.post.ch,DNS:mail.partner.example",
                             .organization = "Post CH AG"};
    struct cert both = cert_make(&spec, &root);
    r = ask_verify("inbound", TLS_PEER_CLIENT, INBOUND, "", &both);
    ck_assert_uint_eq(r->peers, 1 | 1 << 2);
    cert_free(&both);
    struct cert stranger = cert_make(&spec, NULL);
    r = ask_verify("inbound", TLS_PEER_CLIENT, INBOUND, "", &stranger);
    ck_assert(r->verified == 0 && r->peers == 0);
    expect_reason(r, "not peer 'incamail': self-signed");
    cert_free(&stranger);
    /* Another flow's business. */
    ck_assert_int_eq(ask_verify("inbound", TLS_PEER_CLIENT, OUTBOUND, "", &platform)->status,
                     KEEPER_REFUSED);
    ck_assert_int_eq(ask_verify("nobody", TLS_PEER_CLIENT, 0, "", &platform)->status,
                     KEEPER_REFUSED);
}
END_TEST

/* Where the peer may, it comes with a certificate that its CA made for servers alone. */
START_TEST(server_auth_only)
{
    struct cert_spec spec = {.cn = "x",
                             .names = "DNS:im.post.ch,DNS:mail.partner.example",
                             .organization = "Post CH AG",
                             .usage = "serverAuth"};
    struct cert leaf = cert_make(&spec, &root);
    const struct msg_verify_result *r = ask_verify("inbound", TLS_PEER_CLIENT, INBOUND, "", &leaf);
    ck_assert(r->verified == 0 && r->peers == 0);
    keeper.kept[0]->peers[0].server_auth = true;
    memset(&keeper.kept[0]->cache, 0, sizeof keeper.kept[0]->cache);
    r = ask_verify("inbound", TLS_PEER_CLIENT, INBOUND, "", &leaf);
    ck_assert(r->verified == 1);
    ck_assert_uint_eq(r->peers, 1); /* that peer, and not the other with the same trust store */
    cert_free(&leaf);
    spec.usage = "emailProtection";
    leaf = cert_make(&spec, &root);
    r = ask_verify("inbound", TLS_PEER_CLIENT, INBOUND, "", &leaf);
    ck_assert(r->verified == 0 && r->peers == 0);
    expect_reason(r,
                  "not peer 'incamail': certificate not for TLS clients (key usage, clientAuth)");
    cert_free(&leaf);
}
END_TEST

/* A digest that tells one demand from another, the content of the files included. */
START_TEST(demands_digest)
{
    unsigned char before[32];
    struct generation *g = keeper.kept[0];
    memcpy(before, g->demands, sizeof before);
    load(stage(8));
    keeper_promote(&keeper);
    ck_assert_int_eq(memcmp(keeper.kept[0]->demands, before, sizeof before), 0);
    g = stage(9);
    load(g);
    char *two = joined(root_pem, server_pem, "");
    generation_trust(g, PUBLIC_TRUST, span_str(two));
    keeper_promote(&keeper);
    ck_assert(memcmp(keeper.kept[0]->demands, before, sizeof before) != 0);
    free(two);
    g = stage(10);
    load(g);
    g->peers[0].server_auth = true;
    keeper_promote(&keeper);
    ck_assert(memcmp(keeper.kept[0]->demands, before, sizeof before) != 0);
}
END_TEST

/* Lists that can't be read do not count as none. */
START_TEST(unreadable_lists)
{
    struct generation *g = stage(8);
    load(g);
    generation_crl(g, PUBLIC_TRUST,
                   SPAN_LIT("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"));
    generation_trust(g, PUBLIC_TRUST, span_str(root_pem));
    ck_assert(!generation_usable(g, true, now(), report));
    ck_assert_str_eq(report, "trust store \"public\": /e/ca.pem: the file of revocation lists is "
                             "malformed or holds too many");
    generation_crl(g, PUBLIC_TRUST, SPAN_LIT("nothing\n"));
    generation_trust(g, PUBLIC_TRUST, span_str(root_pem));
    ck_assert(!generation_usable(g, true, now(), report));
    generation_trust(g, PUBLIC_TRUST, span_str(root_pem)); /* none is asked for any more */
    ck_assert_msg(generation_usable(g, true, now(), report), "%s", report);
}
END_TEST

START_TEST(marks_before_the_end)
{
    enum { DAY = 86400 };
    struct generation *g = keeper.kept[0];
    uint64_t end = certificate_time(X509_get0_notAfter(g->identities[SERVER_ID].identity.leaf));
    static const struct {
        int64_t before;
        unsigned mark;
    } steps[] = {{31 * DAY, UINT32_MAX}, {30 * DAY, 30}, {15 * DAY, 30}, {14 * DAY, 14},
                 {8 * DAY, 14},          {7 * DAY, 7},   {DAY, 1},       {-1, 0}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        generation_watch(g, (uint64_t)((int64_t)end - steps[i].before));
        ck_assert_uint_eq(g->identities[SERVER_ID].days, steps[i].mark);
    }
}
END_TEST

/* The second time a verdict comes from the cache, and says the same; another question does not. */
START_TEST(repeated_verdicts)
{
    struct verdict first;
    ask_verify("outbound", TLS_PEER_SERVER, INCAMAIL_ROUTE, "im.post.ch", &platform);
    first = answer.verdict;
    ck_assert(first.verified);
    const struct msg_verify_result *r =
        ask_verify("outbound", TLS_PEER_SERVER, INCAMAIL_ROUTE, "im.post.ch", &platform);
    ck_assert(r->status == KEEPER_OK && r->verified == 1);
    ck_assert_int_eq(memcmp(&first, &answer.verdict, sizeof first), 0);
    r = ask_verify("outbound", TLS_PEER_SERVER, EXCHANGE_ROUTE, "im.post.ch", &client);
    ck_assert(r->verified == 0);
    r = ask_verify("outbound", TLS_PEER_SERVER, EXCHANGE_ROUTE, "im.post.ch", &platform);
    ck_assert(r->verified == 1);
    r = ask_verify("outbound", TLS_PEER_SERVER, EXCHANGE_ROUTE, "x.post.ch", &platform);
    ck_assert(r->verified == 0);
    r = ask_verify("inbound", TLS_PEER_CLIENT, INBOUND, "im.post.ch", &platform);
    ck_assert(r->verified == 1 && r->peers == 1);
}
END_TEST

static struct cache_key key_of(uint8_t purpose, uint16_t subject, const char *host,
                               const char *chain, const char *base, const char *tlsa)
{
    const struct msg_verify_request r = {.purpose = purpose,
                                         .subject = subject,
                                         .host = span_str(host),
                                         .chain = span_str(chain),
                                         .base = span_str(base),
                                         .tlsa = span_str(tlsa)};
    return cache_key(&r);
}

START_TEST(cached_verdicts)
{
    static struct cache cache;
    struct verdict v = {.verified = true, .not_after = 1000000};
    struct cache_key key = key_of(1, 2, "host", "chain", "", "");
    const struct cache_key others[] = {
        key_of(2, 2, "host", "chain", "", ""),     key_of(1, 3, "host", "chain", "", ""),
        key_of(1, 2, "hos", "tchain", "", ""),     key_of(1, 2, "host", "chaim", "", ""),
        key_of(1, 2, "host", "chain", "base", ""), key_of(1, 2, "host", "chain", "", "tlsa"),
    };
    ck_assert(cache_find(&cache, &key, 5000) == NULL);
    cache_store(&cache, &key, &v, 5000);
    ck_assert(cache_find(&cache, &key, 5000) != NULL);
    ck_assert(cache_find(&cache, &key, 5000)->verified);
    ck_assert(cache_find(&cache, &key, 5000 + LIMIT_VERDICT_SECONDS - 1) != NULL);
    ck_assert(cache_find(&cache, &key, 5000 + LIMIT_VERDICT_SECONDS) == NULL);
    ck_assert(cache_find(&cache, &key, 4999) == NULL);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        ck_assert(cache_find(&cache, &others[i], 5000) == NULL);
    v.not_after = 5010;
    cache_store(&cache, &key, &v, 5000);
    ck_assert(cache_find(&cache, &key, 5009) != NULL);
    ck_assert(cache_find(&cache, &key, 5010) == NULL);
    for (unsigned i = 0; i < 10 * LIMIT_VERDICTS; i++) {
        key = key_of(1, (uint16_t)i, "", "", "", "");
        cache_store(&cache, &key, &v, 5000);
        ck_assert(cache_find(&cache, &key, 5000) != NULL);
    }
}
END_TEST

/* ---- generations ---- */

START_TEST(two_generations)
{
    load(stage(8));
    ck_assert(keeper_generation(&keeper, 8) == NULL); /* staged only */
    keeper_promote(&keeper);
    ck_assert_int_eq(ask_chain("inbound", 8, SERVER_ID), KEEPER_OK);
    ck_assert_int_eq(ask_chain("inbound", 7, SERVER_ID), KEEPER_OK);
    load(stage(8)); /* the same once more takes its place, and 7 stays */
    keeper_promote(&keeper);
    ck_assert_int_eq(ask_chain("inbound", 8, SERVER_ID), KEEPER_OK);
    ck_assert_int_eq(ask_chain("inbound", 7, SERVER_ID), KEEPER_OK);
    load(stage(9));
    keeper_promote(&keeper);
    ck_assert_int_eq(ask_chain("inbound", 9, SERVER_ID), KEEPER_OK);
    ck_assert_int_eq(ask_chain("inbound", 8, SERVER_ID), KEEPER_OK);
    ck_assert_int_eq(ask_chain("inbound", 7, SERVER_ID), KEEPER_UNKNOWN_GENERATION);
}
END_TEST

START_TEST(incomplete_generation)
{
    struct generation *g = stage(8);
    ck_assert(!generation_usable(g, false, now(), report));
    ck_assert_str_eq(report, "identity \"server\": /e/server.pem: its files have not come\n"
                             "identity \"client\": /e/client.pem: its files have not come\n"
                             "trust store \"public\": /e/ca.pem: its file has not come\n"
                             "trust store \"corporate\": /e/corp.pem: its file has not come");
    load(g);
    ck_assert(generation_usable(g, true, now(), report));
    generation_identity(g, CLIENT_ID, span_str(client_pem), span_str(server_key), now());
    ck_assert(!generation_usable(g, false, now(), report));
    ck_assert_str_eq(report, "identity \"client\": /e/client.pem: the key does not belong to a "
                             "certificate of the certificate file");
    generation_identity(g, 2, span_str(client_pem), span_str(client_key), now());
    generation_trust(g, 2, span_str(root_pem));
    generation_trust(g, CORPORATE_TRUST, SPAN_EMPTY);
    keeper_promote(&keeper);
    struct ipc_message m = {
        .kind = MSG_sign_request,
        .sign_request = {.generation = 8,
                         .identity = CLIENT_ID,
                         .purpose = TLS_AS_CLIENT,
                         .algorithm = P256,
                         .payload = tls13_payload("TLS 1.3, client CertificateVerify")}};
    ask("outbound", &m);
    ck_assert_int_eq(answer.reply.sign_result.status, KEEPER_UNUSABLE);
    ck_assert_int_eq(ask_chain("outbound", 8, CLIENT_ID), KEEPER_UNUSABLE);
    ck_assert_int_eq(ask_chain("outbound", 8, SERVER_ID), KEEPER_OK);
}
END_TEST

START_TEST(expired_identity)
{
    char date[16], want[LIMIT_REASON] = "";
    struct generation *g = stage(8);
    load(g);
    struct cert_spec spec = {.cn = "gw", .from = -30L * 86400, .to = -3L * 86400};
    struct cert old = cert_make(&spec, &root);
    char *pem = cert_pem(&old), *key = cert_key_pem(&old);
    generation_identity(g, CLIENT_ID, span_str(pem), span_str(key), now());
    ck_assert(generation_usable(g, false, now(), report)); /* at a first start: warned of only */
    ck_assert(!generation_usable(g, true, now(), report));
    certificate_date(now() - UINT64_C(3) * 86400, date);
    text_format(want, "identity \"client\": /e/client.pem: the certificate expired %s", date);
    ck_assert_str_eq(report, want);
    free(pem);
    free(key);
    cert_free(&old);
}
END_TEST

/* ---- files ---- */

static bool identity_of(const char *certificates, const char *key, const char *want_reason)
{
    struct identity identity;
    char reason[LIMIT_REASON];
    bool good = pem_identity(span_str(certificates), span_str(key), SPAN_EMPTY, &identity, reason);
    ck_assert_msg(strcmp(reason, want_reason) == 0, "%s", reason);
    ck_assert(good == (identity.key != NULL));
    pem_identity_free(&identity);
    pem_identity_free(&identity);
    return good;
}

START_TEST(identity_files)
{
    ck_assert(identity_of(server_pem, server_key, ""));
    ck_assert(
        !identity_of("", server_key, "the certificate file holds no certificate (PEM is wanted)"));
    ck_assert(!identity_of("nonsense\n", server_key,
                           "the certificate file holds no certificate (PEM is wanted)"));
    ck_assert(!identity_of("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                           server_key, "the certificate file is malformed or holds too many"));
    ck_assert(!identity_of(server_pem, "",
                           "the key file holds no private key in PEM without a passphrase"));
    ck_assert(!identity_of(server_pem, server_pem,
                           "the key file holds no private key in PEM without a passphrase"));
    ck_assert(!identity_of(client_pem, server_key,
                           "the key does not belong to a certificate of the certificate file"));
    struct cert weak = cert_make(&(struct cert_spec){.cn = "w", .key = CERT_RSA1024}, &root);
    char *pem = cert_pem(&weak), *key = cert_key_pem(&weak);
    ck_assert(!identity_of(pem, key, "the key file holds an RSA key below 2048 bits"));
    free(pem);
    free(key);
    cert_free(&weak);
    char *one = joined(server_pem, server_key, ""); /* everything in one file */
    ck_assert(identity_of(one, one, ""));
    free(one);
}
END_TEST

START_TEST(encrypted_key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const uint8_t *p = NULL;
    size_t n = 0;
    struct identity identity;
    char reason[LIMIT_REASON];
    ck_assert(PEM_write_bio_PKCS8PrivateKey(bio, server.key, EVP_aes_128_cbc(), (char *)"secret", 6,
                                            NULL, NULL) == 1);
    ck_assert(BIO_mem_contents(bio, &p, &n) == 1);
    struct span key = span_of(p, n);
    ck_assert(!pem_identity(span_str(server_pem), key, SPAN_EMPTY, &identity, reason));
    ck_assert_str_eq(reason, "the key file holds no private key in PEM without a passphrase");
    ck_assert(!pem_identity(span_str(server_pem), key, SPAN_LIT("Secret\n"), &identity, reason));
    ck_assert_str_eq(reason, "the key file holds no private key in PEM that the passphrase opens");
    static const char *const right[] = {"secret", "secret\n", "secret\r\nmore\n"};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        ck_assert(pem_identity(span_str(server_pem), key, span_str(right[i]), &identity, reason));
        pem_identity_free(&identity);
    }
    BIO_free(bio);
}
END_TEST

/* Leaf, intermediate and root in any order come out leaf first, each followed by its issuer. */
START_TEST(chain_order)
{
    struct cert middle = cert_make(&(struct cert_spec){.cn = "Mid", .authority = true}, &root);
    struct cert leaf = cert_make(&(struct cert_spec){.cn = "leaf"}, &middle);
    char *pems[] = {cert_pem(&leaf), cert_pem(&middle), root_pem};
    char *key = cert_key_pem(&leaf);
    struct msg_writer w = {.p = bytes, .capacity = sizeof bytes};
    cert_put(&w, &leaf);
    cert_put(&w, &middle);
    cert_put(&w, &root);
    static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                          {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    char reason[LIMIT_REASON];
    for (size_t i = 0; i < 6; i++) {
        struct identity identity;
        char *all = joined(pems[orders[i][0]], pems[orders[i][1]], pems[orders[i][2]]);
        ck_assert(pem_identity(span_str(all), span_str(key), SPAN_EMPTY, &identity, reason));
        ck_assert(span_eq(span_of(identity.chain, identity.chain_n), span_of(bytes, w.n)));
        ck_assert_uint_eq(identity.left_out, 0);
        pem_identity_free(&identity);
        free(all);
    }
    struct identity identity;
    char *strange = joined(pems[0], client_pem, "");
    ck_assert(pem_identity(span_str(strange), span_str(key), SPAN_EMPTY, &identity, reason));
    ck_assert_uint_eq(identity.left_out, 1);
    pem_identity_free(&identity);
    free(strange);
    free(pems[0]);
    free(pems[1]);
    free(key);
    cert_free(&middle);
    cert_free(&leaf);
}
END_TEST

START_TEST(trust_files)
{
    char reason[LIMIT_REASON];
    unsigned count = 9;
    ck_assert(pem_trust(SPAN_EMPTY, &count, reason) == NULL);
    ck_assert_uint_eq(count, 0);
    ck_assert(reason[0] != '\0');
    ck_assert(pem_trust(span_of(NULL, 0), &count, reason) == NULL);
    ck_assert(pem_trust(span_str(server_key), &count, reason) == NULL);
    /* A certificate that can't be parsed costs itself only. */
    char *text = joined("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", root_pem,
                        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
    char *more = joined("# a comment\n", text, client_pem);
    X509_STORE *store = pem_trust(span_str(more), &count, reason);
    ck_assert(store != NULL);
    ck_assert_uint_eq(count, 2);
    X509_STORE_free(store);
    free(more);
    free(text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("keeper");
    TCase *t = tcase_create("keeper");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, chains);
    tcase_add_test(t, signatures);
    tcase_add_test(t, algorithms);
    tcase_add_test(t, servers);
    tcase_add_test(t, clients);
    tcase_add_test(t, repeated_verdicts);
    tcase_add_test(t, cached_verdicts);
    tcase_add_test(t, two_generations);
    tcase_add_test(t, incomplete_generation);
    tcase_add_test(t, expired_identity);
    tcase_add_test(t, identity_files);
    tcase_add_test(t, encrypted_key);
    tcase_add_test(t, chain_order);
    tcase_add_test(t, trust_files);
    tcase_add_test(t, server_auth_only);
    tcase_add_test(t, demands_digest);
    tcase_add_test(t, unreadable_lists);
    tcase_add_test(t, marks_before_the_end);
    suite_add_tcase(s, t);
    return suite_run(s);
}
