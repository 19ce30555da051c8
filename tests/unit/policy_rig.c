/* The policies of the policy's tests. */
#include "tests/unit/policy_rig.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static const char both[] =
    HEAD "\"flows\":{"
         "\"out\":{\"listen\":[\"10.0.0.2:25\",\"[::1]:2500\"],\"identity\":\"server\","
         "\"workers\":2,\"accept_from\":[\"exchange\",\"both\"],\"rules\":["
         "{\"name\":\"suffix\",\"when\":{\"recipient\":[\"*.incamail.ch\",\"a@b.example\"]},"
         "\"route\":\"first\"},"
         "{\"name\":\"subject\",\"when\":{\"sender\":[\"*@hr.example.ch\",\"\"],"
         "\"any\":[{\"subject\":{\"contains\":[\"<im>\",\"x\"],\"ends\":\"!\"}},"
         "{\"not\":{\"client\":\"10.1.0.0/25\"}}]},\"route\":\"first\"},"
         "{\"name\":\"rest\",\"route\":\"rest\"}]},"
         "\"in\":{\"listen\":\"0.0.0.0:25\",\"domains\":[\"example.ch\",\"*.example.ch\"],"
         "\"client_certificate\":\"no\",\"rules\":["
         "{\"name\":\"platform\",\"when\":{\"peer\":[\"platform\",\"both\"]},\"route\":\"second\"},"
         "{\"name\":\"pretends\",\"when\":{\"from_domain\":\"im.post.ch\"},"
         "\"reject\":\"550 5.7.1 not from the platform\"},"
         "{\"name\":\"later\",\"when\":{\"recipient\":\"slow.example.ch\"},"
         "\"defer\":\"451 4.7.1 later\"},"
         "{\"name\":\"rest\",\"route\":\"second\"}]}}}";

const struct span rig_both_flows = {.p = (const unsigned char *)both, .n = sizeof both - 1};

void build(struct built *b, struct span text)
{
    static char report[LIMIT_REPORT];
    char reason[LIMIT_REASON] = "";
    if (!policy_compile(text, &b->compilation)) {
        policy_report_text(&b->compilation, SPAN_LIT("test"), report, sizeof report);
        ck_abort_msg("%s", report);
    }
    struct span image = span_of(b->compilation.image, b->compilation.image_size);
    ck_assert_msg(policy_open(&b->p, image, reason), "%s", reason);
}

void unbuild(struct built *b)
{
    policy_compilation_free(&b->compilation);
}

struct policy_address ip(const char *text)
{
    struct policy_address a = {0};
    unsigned b[4];
    if (sscanf(text, "%u.%u.%u.%u", &b[0], &b[1], &b[2], &b[3]) == 4) {
        a.family = 4;
        for (int i = 0; i < 4; i++)
            a.bytes[i] = (unsigned char)b[i];
    }
    return a;
}

struct policy_facts envelope(const char *sender, const char *recipient)
{
    return (struct policy_facts){.sender = span_str(sender),
                                 .recipient = span_str(recipient),
                                 .client = ip("10.1.0.7"),
                                 .subject = SPAN_EMPTY};
}

void build_when(struct built *b, const char *when)
{
    static const char template[] = ONE_RULE("@");
    const char *at = strstr(template, "\"when\":@") + strlen("\"when\":");
    char *text;
    int n = asprintf(&text, "%.*s%s%s", (int)(at - template), template, when, at + 1);
    ck_assert_int_gt(n, 0);
    build(b, span_of(text, (size_t)n));
    free(text);
}

void ignore_step(void *context, const struct policy_step *s)
{
    (void)context;
    (void)s;
}
