#include "bench/sim/peer.h"
#include "bench/sim/json.h"
#include "bench/sim/mgisim.h"
#include "status.h"
#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

static int asked_index(void)
{
    static int index = -1;

    if (index < 0)
        index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    return index;
}

const char *peer_error(char *buffer, size_t size)
{
    uint32_t code = ERR_peek_last_error();

    if (code == 0)
        snprintf(buffer, size, "connection closed");
    else
        ERR_error_string_n(code, buffer, size);
    ERR_clear_error();
    return buffer;
}

/* The verdict is read from the session afterwards; the handshake goes on. */
static int record_only(int ok, X509_STORE_CTX *store)
{
    (void)ok;
    (void)store;
    return 1;
}

static int note_request(SSL *ssl, void *arg)
{
    static char asked;

    (void)arg;
    SSL_set_ex_data(ssl, asked_index(), &asked);
    return 1;
}

static SSL_CTX *new_context(const struct peer_setup *setup)
{
    char reason[256];
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    uint16_t maximum = TLS1_3_VERSION;

    if (context == NULL)
        sim_die(EXIT_OSERR, "no TLS context");
    if (setup->maximum != NULL && strcmp(setup->maximum, "1.2") == 0)
        maximum = TLS1_2_VERSION;
    else if (setup->maximum != NULL && strcmp(setup->maximum, "1.3") != 0)
        sim_die(EXIT_USAGE, "--tls-max takes 1.2 or 1.3");
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(context, maximum);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (setup->certificate != NULL &&
        (SSL_CTX_use_certificate_chain_file(context, setup->certificate) != 1 ||
         SSL_CTX_use_PrivateKey_file(context, setup->key, SSL_FILETYPE_PEM) != 1))
        sim_die(EXIT_NOINPUT, "%s, %s: %s", setup->certificate, setup->key,
                peer_error(reason, sizeof(reason)));
    if (setup->ca != NULL && SSL_CTX_load_verify_locations(context, setup->ca, NULL) != 1)
        sim_die(EXIT_NOINPUT, "%s: %s", setup->ca, peer_error(reason, sizeof(reason)));
    return context;
}

SSL_CTX *peer_server_context(const struct peer_setup *setup)
{
    static const uint8_t id[] = "mgisim";
    SSL_CTX *context = new_context(setup);

    SSL_CTX_set_session_id_context(context, id, sizeof(id) - 1);
    if (!setup->ask)
        return context;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, record_only);
    if (setup->ca != NULL)
        SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(setup->ca));
    return context;
}

SSL_CTX *peer_client_context(const struct peer_setup *setup)
{
    SSL_CTX *context = new_context(setup);

    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, record_only);
    SSL_CTX_set_cert_cb(context, note_request, NULL);
    return context;
}

SSL *peer_connect(SSL_CTX *context, int fd, const char *name)
{
    SSL *ssl = SSL_new(context);

    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
        sim_die(EXIT_OSERR, "no TLS connection");
    if (name != NULL)
        SSL_set_tlsext_host_name(ssl, name);
    if (name != NULL && SSL_set1_host(ssl, name) != 1)
        sim_die(EXIT_USAGE, "not a host name: %s", name);
    SSL_set_connect_state(ssl);
    return ssl;
}

bool peer_was_asked(const SSL *ssl)
{
    return SSL_get_ex_data(ssl, asked_index()) != NULL;
}

static void to_hex(const uint8_t *bytes, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static void write_fingerprints(X509 *certificate, struct peer_facts *facts)
{
    uint8_t *der = NULL;
    uint8_t digest[SHA256_DIGEST_LENGTH];
    int n = i2d_X509(certificate, &der);

    if (n <= 0)
        return;
    to_hex(SHA1(der, (size_t)n, digest), SHA_DIGEST_LENGTH, facts->sha1);
    to_hex(SHA256(der, (size_t)n, digest), SHA256_DIGEST_LENGTH, facts->sha256);
    OPENSSL_free(der);
}

static void judge(const SSL *ssl, bool have_ca, struct peer_facts *facts)
{
    long result = SSL_get_verify_result(ssl);

    facts->verified = have_ca && result == X509_V_OK;
    if (!have_ca)
        snprintf(facts->reason, sizeof(facts->reason), "no CA to verify against");
    else if (!facts->verified)
        snprintf(facts->reason, sizeof(facts->reason), "%s", X509_verify_cert_error_string(result));
}

void peer_describe(const SSL *ssl, bool have_ca, struct peer_facts *facts)
{
    X509 *certificate = SSL_get_peer_certificate(ssl);

    memset(facts, 0, sizeof(*facts));
    facts->version = SSL_get_version(ssl);
    facts->cipher = SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl));
    if (certificate == NULL) {
        snprintf(facts->reason, sizeof(facts->reason), "no certificate shown");
        return;
    }
    facts->present = true;
    judge(ssl, have_ca, facts);
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_NAME_oneline(subject, facts->subject, sizeof(facts->subject));
    X509_NAME_oneline(X509_get_issuer_name(certificate), facts->issuer, sizeof(facts->issuer));
    X509_NAME_get_text_by_NID(subject, NID_organizationName, facts->organization,
                              sizeof(facts->organization));
    write_fingerprints(certificate, facts);
    X509_free(certificate);
}

void peer_write(FILE *out, const char *role, const struct peer_facts *facts)
{
    json_text(out, "tls", facts->version);
    json_text(out, "cipher", facts->cipher);
    json_key(out, role);
    if (!facts->present) {
        fputs("null", out);
        return;
    }
    fputs("{\"verified\":", out);
    fputs(facts->verified ? "true" : "false", out);
    json_text(out, "reason", facts->verified ? NULL : facts->reason);
    json_text(out, "subject", facts->subject);
    json_text(out, "organization", facts->organization);
    json_text(out, "issuer", facts->issuer);
    json_text(out, "sha1", facts->sha1);
    json_text(out, "sha256", facts->sha256);
    fputc('}', out);
}
