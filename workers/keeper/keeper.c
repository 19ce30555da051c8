/* Requests and answers. */
#include "workers/keeper/keeper.h"
#include "crash_point.h"
#include "status.h"
#include "workers/keeper/certificate.h"
#include "workers/keeper/dane.h"
#include "workers/keeper/signer.h"

/* ---- generations ---- */

struct generation *keeper_generation(const struct keeper *k, uint32_t number)
{
    for (unsigned i = 0; i < KEEPER_GENERATIONS; i++)
        if (k->kept[i] != NULL && k->kept[i]->number == number)
            return k->kept[i];
    return NULL;
}

void keeper_promote(struct keeper *k)
{
    BUG_ON(k->staged == NULL);
    struct generation *fresh = k->staged;
    generation_complete(fresh);
    if (k->kept[0] != NULL)
        generation_compare(fresh, k->kept[0]);
    k->staged = NULL;
    for (unsigned i = 0; i < KEEPER_GENERATIONS; i++) {
        struct generation *kept = k->kept[i];
        bool same = kept != NULL && fresh != NULL && kept->number == fresh->number;
        k->kept[i] = fresh;
        fresh = kept;
        if (same) /* in its place stands now what was before it */
            break;
    }
    generation_free(fresh);
}

void keeper_free(struct keeper *k)
{
    for (unsigned i = 0; i < KEEPER_GENERATIONS; i++)
        generation_free(k->kept[i]);
    generation_free(k->staged);
    tickets_free(&k->tickets);
    *k = (struct keeper){0};
}

/* ---- chains and signatures ---- */

struct asker {
    struct generation *generation; /* NULL: not kept */
    uint32_t flow;                 /* POLICY_NONE: its policy has no such flow */
};

static struct asker asker_of(const struct keeper *k, uint32_t generation, struct span flow)
{
    struct asker a = {.generation = keeper_generation(k, generation), .flow = POLICY_NONE};
    if (a.generation != NULL)
        a.flow = policy_find_flow(&a.generation->policy, flow);
    return a;
}

static bool allowed(const struct asker *a, uint32_t identity, unsigned purpose)
{
    return a->flow != POLICY_NONE &&
           policy_identity_allowed(&a->generation->policy, a->flow, identity, purpose);
}

static enum keeper_status refuse(struct keeper_answer *answer, const char *why)
{
    text_format(answer->refusal, "%s", why);
    return KEEPER_REFUSED;
}

/* One that has no room any more is left out, and those after it. */
static bool put_name(struct span name, void *context)
{
    struct msg_writer *w = context;
    size_t before = w->n;
    if (name.n <= LIMIT_DOMAIN)
        msg_put_span(w, name);
    if (w->overflow)
        w->n = before;
    return w->overflow;
}

static enum keeper_status chain(const struct keeper *k, struct span flow,
                                const struct msg_chain_request *request,
                                struct keeper_answer *answer)
{
    struct asker a = asker_of(k, request->generation, flow);
    if (a.generation == NULL)
        return KEEPER_UNKNOWN_GENERATION;
    if (!allowed(&a, request->identity, TLS_AS_SERVER) &&
        !allowed(&a, request->identity, TLS_AS_CLIENT))
        return refuse(answer, "chain of an identity that the flow does not have");
    const struct identity *identity = &a.generation->identities[request->identity].identity;
    if (identity->key == NULL)
        return KEEPER_UNUSABLE;
    answer->reply.chain_result.chain = span_of(identity->chain, identity->chain_n);
    answer->reply.chain_result.demands =
        span_of(a.generation->demands, sizeof a.generation->demands);
    answer->reply.chain_result.not_after = certificate_time(X509_get0_notAfter(identity->leaf));
    struct msg_writer names = {.p = answer->names, .capacity = sizeof answer->names};
    (void)certificate_any_name(identity->leaf, put_name, &names);
    answer->reply.chain_result.names = span_of(answer->names, names.n);
    return KEEPER_OK;
}

static enum keeper_status sign(const struct keeper *k, struct span flow,
                               const struct msg_sign_request *request, struct keeper_answer *answer)
{
    struct asker a = asker_of(k, request->generation, flow);
    if (a.generation == NULL)
        return KEEPER_UNKNOWN_GENERATION;
    if (!allowed(&a, request->identity, request->purpose))
        return refuse(answer, "signature of an identity that the flow does not have so");
    const char *why = NULL;
    enum payload_kind kind = payload_classify(request->purpose, request->payload, &why);
    if (kind == PAYLOAD_FOREIGN)
        return refuse(answer, why);
    EVP_PKEY *key = a.generation->identities[request->identity].identity.key;
    if (key == NULL)
        return KEEPER_UNUSABLE;
    size_t n = 0;
    switch (signer_sign(key, kind, request->algorithm, request->payload, answer->signature, &n)) {
    case SIGNER_DONE:
        answer->reply.sign_result.signature = span_of(answer->signature, n);
        return KEEPER_OK;
    case SIGNER_ALGORITHM:
        return refuse(answer, "signature by an algorithm that does not fit the key");
    case SIGNER_FAILED:
        break;
    }
    return KEEPER_FAILED;
}

/* ---- verdicts ---- */

/* The order of RFC 7672 and of partners: who names a trust store has agreed on it with the other
 * side, and is not overruled by what stands in the DNS. */
static void verify_server(const struct generation *g, const struct msg_verify_request *r,
                          STACK_OF(X509) * list, uint64_t now, struct verdict *v)
{
    const struct verify_demand *demand = &g->routes[r->subject];
    if (demand->trust == NULL && r->tlsa.n > 0) {
        const struct span names[] = {r->base, r->host};
        v->verified = dane_met(list, r->tlsa, names, 2, now, v->reason);
        return;
    }
    if (demand->trust == NULL) {
        v->verified = true;
        text_format(v->reason, "not verified: the route names no trust");
        return;
    }
    v->verified = verify_path(list, demand->trust, TLS_PEER_SERVER, now, v->reason) &&
                  verify_identity(sk_X509_value(list, 0), demand, r->host, v->reason);
}

enum path { PATH_UNKNOWN, PATH_GOOD, PATH_BAD };

/* Public CAs issue certificates for servers alone by now: where the demand allows it, one of those
 * will do. The reason is that of a client's certificate. */
static bool client_path(STACK_OF(X509) * list, const struct verify_demand *demand, uint64_t now,
                        char *reason)
{
    char other[LIMIT_REASON];
    return verify_path(list, demand->trust, TLS_PEER_CLIENT, now, reason) ||
           (demand->server_auth && verify_path(list, demand->trust, TLS_PEER_SERVER, now, other));
}

/* Walks the peers; a trust store that several of them name is asked once. The reason is of the
 * first peer that fails, preferring one whose trust store the chain leads to. */
static void verify_client(const struct generation *g, STACK_OF(X509) * list, uint64_t now,
                          struct verdict *v)
{
    enum path paths[2][LIMIT_POLICY_TRUSTS] = {{PATH_UNKNOWN}}; /* [1]: serverAuth will do */
    char reason[LIMIT_REASON];
    bool said_identity = false;
    for (uint32_t i = 0; i < policy_count(&g->policy, POLICY_PEERS); i++) {
        const struct verify_demand *demand = &g->peers[i];
        if (demand->trust == NULL)
            continue;
        size_t t = (size_t)(demand->trust - g->trusts);
        enum path *known = &paths[demand->server_auth][t];
        bool first = *known == PATH_UNKNOWN;
        reason[0] = '\0';
        if (first)
            *known = client_path(list, demand, now, reason) ? PATH_GOOD : PATH_BAD;
        bool path = *known == PATH_GOOD;
        v->verified = v->verified || path;
        if (path && verify_identity(sk_X509_value(list, 0), demand, SPAN_EMPTY, reason)) {
            v->peers |= UINT64_C(1) << i;
            continue;
        }
        if (path ? said_identity : !first || v->reason[0] != '\0')
            continue;
        said_identity = path;
        v->reason[0] = '\0';
        text_format(v->reason, "not peer '");
        text_add(v->reason, policy_peer(&g->policy, i).name);
        text_format(v->reason, "': %s", reason);
    }
    if (v->peers != 0)
        v->reason[0] = '\0';
    else if (v->reason[0] == '\0')
        text_format(v->reason, "not verified: no peer of the policy names a trust");
}

static void put_verdict(const struct verdict *v, struct msg_verify_result *r)
{
    r->verified = v->verified;
    r->peers = v->peers;
    r->reason = span_str(v->reason);
    r->subject = span_str(v->subject);
    r->organization = span_str(v->organization);
    r->issuer = span_str(v->issuer);
    r->names = span_str(v->names);
    r->sha256 = span_of(v->sha256, sizeof v->sha256);
    r->not_after = v->not_after;
}

static enum keeper_status verify(const struct keeper *k, struct span flow,
                                 const struct msg_verify_request *request, uint64_t now,
                                 struct keeper_answer *answer)
{
    struct asker a = asker_of(k, request->generation, flow);
    if (a.generation == NULL)
        return KEEPER_UNKNOWN_GENERATION;
    const struct policy *p = &a.generation->policy;
    bool server = request->purpose == TLS_PEER_SERVER;
    if (!server && request->purpose != TLS_PEER_CLIENT)
        return refuse(answer, "verdict for no purpose that verifies");
    if (server ? request->subject >= policy_count(p, POLICY_ROUTES) : request->subject != a.flow)
        return refuse(answer, "verdict for a route that does not exist or another flow");
    struct verdict *v = &answer->verdict;
    struct cache_key key = cache_key(request);
    const struct verdict *known = cache_find(&a.generation->cache, &key, now);
    if (known != NULL) {
        *v = *known;
        return KEEPER_OK;
    }
    const char *why = NULL;
    STACK_OF(X509) *list = certificate_chain(request->chain, &why);
    if (list == NULL) {
        text_format(v->reason, "%s", why);
        return KEEPER_OK;
    }
    verify_describe(sk_X509_value(list, 0), v);
    if (server)
        verify_server(a.generation, request, list, now, v);
    else
        verify_client(a.generation, list, now, v);
    sk_X509_pop_free(list, X509_free);
    cache_store(&a.generation->cache, &key, v, now);
    return KEEPER_OK;
}

/* ---- dispatch ---- */

void keeper_answer(const struct keeper *k, struct span flow, const struct ipc_message *request,
                   uint64_t now, struct keeper_answer *answer)
{
    struct ipc_message *reply = &answer->reply;
    *reply = (struct ipc_message){.kind = MSG_NONE, .fds = {-1, -1}};
    answer->verdict = (struct verdict){0};
    answer->refusal[0] = '\0';
    CRASH_POINT(KEEPER_ASKED);
    switch (request->kind) {
    case MSG_chain_request:
        reply->kind = MSG_chain_result;
        reply->chain_result.id = request->chain_request.id;
        reply->chain_result.chain = SPAN_EMPTY;
        reply->chain_result.demands = reply->chain_result.names = SPAN_EMPTY;
        reply->chain_result.not_after = 0;
        reply->chain_result.status = (uint8_t)chain(k, flow, &request->chain_request, answer);
        return;
    case MSG_sign_request:
        reply->kind = MSG_sign_result;
        reply->sign_result.id = request->sign_request.id;
        reply->sign_result.signature = SPAN_EMPTY;
        reply->sign_result.status = (uint8_t)sign(k, flow, &request->sign_request, answer);
        return;
    case MSG_verify_request:
        reply->kind = MSG_verify_result;
        reply->verify_result.id = request->verify_request.id;
        reply->verify_result.status =
            (uint8_t)verify(k, flow, &request->verify_request, now, answer);
        put_verdict(&answer->verdict, &reply->verify_result);
        return;
    default:
        BUG_ON(true);
    }
}
