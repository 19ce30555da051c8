/* Reading of certificates. */
#include "workers/keeper/certificate.h"
#include "engine/ipc/ipc.h"
#include <openssl/bio.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

/* ---- texts ---- */

void text_add(char *text, struct span s)
{
    size_t at = strlen(text);
    for (size_t i = 0; i < s.n && at < LIMIT_REASON - 1; i++) {
        unsigned char c = s.p[i];
        text[at++] = (char)(c < 0x20 || c == 0x7f ? '?' : c);
    }
    text[at] = '\0';
}

void text_format(char *text, const char *format, ...)
{
    char part[LIMIT_REASON];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(part, sizeof part, format, list);
    va_end(list);
    text_add(text, span_str(part));
}

/* ---- parsing ---- */

static X509 *parse(struct span der)
{
    const unsigned char *p = der.p;
    X509 *certificate = d2i_X509(NULL, &p, (long)der.n);
    if (certificate != NULL && p != der.p + der.n) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

STACK_OF(X509) * certificate_chain(struct span chain, const char **why)
{
    struct msg_reader r = {.in = chain};
    STACK_OF(X509) *list = sk_X509_new_null();
    *why = NULL;
    if (list == NULL)
        *why = "no memory";
    while (*why == NULL && r.in.n > 0) {
        struct span der = msg_get_span(&r, LIMIT_CHAIN);
        if (r.bad)
            *why = "the chain is malformed";
        else if (sk_X509_num(list) == LIMIT_CHAIN_COUNT)
            *why = "the chain is too long";
        if (*why != NULL)
            break;
        X509 *certificate = parse(der);
        if (certificate == NULL || sk_X509_push(list, certificate) == 0) {
            X509_free(certificate);
            *why = "a certificate of the chain is malformed";
        }
    }
    if (*why == NULL && sk_X509_num(list) == 0)
        *why = "the chain is empty";
    ERR_clear_error();
    if (*why == NULL)
        return list;
    sk_X509_pop_free(list, X509_free);
    return NULL;
}

/* ---- names ---- */

void certificate_name(const X509_NAME *name, char *text)
{
    text[0] = '\0';
    BIO *bio = BIO_new(BIO_s_mem());
    const uint8_t *p = NULL;
    size_t n = 0;
    if (bio != NULL &&
        X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >=
            0 &&
        BIO_mem_contents(bio, &p, &n) == 1)
        text_add(text, span_of(p, n));
    BIO_free(bio);
    ERR_clear_error();
}

bool certificate_organization(const X509 *certificate, char *text)
{
    X509_NAME *name = X509_get_subject_name(certificate);
    text[0] = '\0';
    int at = X509_NAME_get_index_by_NID(name, NID_organizationName, -1);
    if (at < 0)
        return true;
    bool single = X509_NAME_get_index_by_NID(name, NID_organizationName, at) < 0;
    unsigned char *utf8 = NULL;
    int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (n < 0) {
        ERR_clear_error();
        return false;
    }
    struct span value = span_of(utf8, (size_t)n);
    text_add(text, value);
    /* Cut or replaced bytes make the text differ from what was signed. */
    bool faithful = span_eq(value, span_str(text));
    OPENSSL_free(utf8);
    return single && faithful;
}

static GENERAL_NAMES *alternative_names(const X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    ERR_clear_error();
    return names;
}

bool certificate_any_name(const X509 *certificate, bool (*each)(struct span name, void *context),
                          void *context)
{
    GENERAL_NAMES *names = alternative_names(certificate);
    bool found = false;
    for (size_t i = 0; !found && names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS)
            continue;
        const ASN1_IA5STRING *s = name->d.dNSName;
        found = each(span_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)), context);
    }
    GENERAL_NAMES_free(names);
    return found;
}

static bool add_name(struct span name, void *context)
{
    char *text = context;
    if (text[0] != '\0')
        text_add(text, SPAN_LIT(","));
    text_add(text, name);
    return strlen(text) >= LIMIT_REASON - 1;
}

void certificate_names(const X509 *certificate, char *text)
{
    text[0] = '\0';
    (void)certificate_any_name(certificate, add_name, text);
}

bool certificate_has_address(const X509 *certificate, struct span address)
{
    GENERAL_NAMES *names = alternative_names(certificate);
    bool found = false;
    for (size_t i = 0; !found && names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_IPADD)
            continue;
        const ASN1_OCTET_STRING *s = name->d.iPAddress;
        found = span_eq(address, span_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)));
    }
    GENERAL_NAMES_free(names);
    return found;
}

/* ---- numbers ---- */

uint64_t certificate_time(const ASN1_TIME *time)
{
    enum { DAY = 86400 };
    int days = 0, seconds = 0;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    bool good = epoch != NULL && ASN1_TIME_diff(&days, &seconds, epoch, time) == 1;
    ASN1_TIME_free(epoch);
    ERR_clear_error();
    int64_t total = good ? (int64_t)days * DAY + seconds : 0;
    return total > 0 ? (uint64_t)total : 0;
}

void certificate_date(uint64_t seconds, char *text)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    if (gmtime_r(&t, &tm) == NULL || strftime(text, 16, "%Y-%m-%d", &tm) == 0)
        text[0] = '\0';
}

void certificate_sha256(const X509 *certificate, unsigned char digest[32])
{
    unsigned n = 0;
    memset(digest, 0, 32);
    (void)X509_digest(certificate, EVP_sha256(), digest, &n);
}

/* RSASSA-PSS names its hash in parameters, and SHA-1 when it names none. */
static bool pss_strong(const X509 *certificate)
{
    const X509_ALGOR *algorithm = NULL;
    const void *value = NULL;
    int type = 0;
    X509_get0_signature(NULL, &algorithm, certificate);
    X509_ALGOR_get0(NULL, &type, &value, algorithm);
    if (type != V_ASN1_SEQUENCE)
        return false;
    const ASN1_STRING *sequence = value;
    const unsigned char *p = ASN1_STRING_get0_data(sequence);
    RSA_PSS_PARAMS *parameters = d2i_RSA_PSS_PARAMS(NULL, &p, ASN1_STRING_length(sequence));
    int hash = NID_undef;
    if (parameters != NULL && parameters->hashAlgorithm != NULL)
        hash = OBJ_obj2nid(parameters->hashAlgorithm->algorithm);
    RSA_PSS_PARAMS_free(parameters);
    ERR_clear_error();
    return hash == NID_sha256 || hash == NID_sha384 || hash == NID_sha512;
}

bool certificate_signature_strong(const X509 *certificate)
{
    switch (X509_get_signature_nid(certificate)) {
    case NID_sha256WithRSAEncryption:
    case NID_sha384WithRSAEncryption:
    case NID_sha512WithRSAEncryption:
    case NID_ecdsa_with_SHA256:
    case NID_ecdsa_with_SHA384:
    case NID_ecdsa_with_SHA512:
    case NID_ED25519:
        return true;
    case NID_rsassaPss:
        return pss_strong(certificate);
    default:
        return false;
    }
}
