/* The policy that the keeper's tests are about, and the numbers that its names get. */
#ifndef MGID_TEST_KEEPER_POLICY_H
#define MGID_TEST_KEEPER_POLICY_H

static const char policy_text[] =
    "{\"version\":1,\"hostname\":\"mx1.example.ch\",\"spool\":\"/var/spool/mgid\","
    "\"identities\":{\"server\":{\"certificate\":\"/e/server.pem\",\"key\":\"/e/server.key\"},"
    "\"client\":{\"certificate\":\"/e/client.pem\",\"key\":\"/e/client.key\"}},"
    "\"trust\":{\"public\":{\"file\":\"/e/ca.pem\"},\"corporate\":{\"file\":\"/e/corp.pem\"}},"
    "\"peers\":{\"incamail\":{\"tls\":{\"trust\":\"public\",\"names\":[\"*.incamail.com\","
    "\"im.post.ch\"],\"organization\":\"Post CH AG\"}},"
    "\"exchange\":{\"addresses\":[\"10.1.0.0/24\"]},"
    "\"partner\":{\"tls\":{\"trust\":\"public\",\"names\":[\"mail.partner.example\"]}}},"
    "\"routes\":{\"incamail\":{\"mx\":\"im.post.ch\",\"tls\":{\"require\":true,\"trust\":"
    "\"public\",\"names\":[\"*.incamail.com\",\"im.post.ch\"],\"organization\":\"Post CH AG\","
    "\"identity\":\"client\"}},"
    "\"exchange\":{\"hosts\":[\"exchange.example.ch:25\"],\"tls\":{\"require\":true,\"trust\":"
    "\"corporate\"}},"
    "\"blind\":{\"hosts\":[\"other.example.ch:25\"],\"tls\":{\"require\":true}}},"
    "\"flows\":{\"outbound\":{\"listen\":[\"127.0.0.1:2525\"],\"identity\":\"server\","
    "\"rules\":[{\"name\":\"a\",\"when\":{\"recipient\":\"*.incamail.ch\"},\"route\":\"incamail\"},"
    "{\"name\":\"b\",\"route\":\"blind\"}]},"
    "\"inbound\":{\"listen\":[\"127.0.0.1:2526\"],\"identity\":\"server\","
    "\"client_certificate\":\"ask\",\"domains\":[\"example.ch\"],"
    "\"rules\":[{\"name\":\"rest\",\"route\":\"exchange\"}]}}}";

enum { SERVER_ID, CLIENT_ID }; /* identities, in the policy's order */
enum { PUBLIC_TRUST, CORPORATE_TRUST };
enum { INCAMAIL_ROUTE, EXCHANGE_ROUTE, BLIND_ROUTE };
enum { OUTBOUND, INBOUND };

#endif
