#!/bin/sh
# Certificates for the demo and the tests: CAs, the platform's, the gateway's, the internal mail
# server's, and bad variants of them. Not for production: the CAs' keys stay beside the rest.
#
#   deploy/certs.sh OUTDIR
#
# NAME.pem is the chain, leaf first; NAME.key the private key. Issued by the "public" CA
# (ca.pem) through its intermediate unless said otherwise:
#   platform            O "Post CH AG", im.post.ch and *.incamail.com, server and client
#   server, server-rsa  the gateway to those who connect: mx1.example.ch, gateway.example.ch
#   client, client-rsa  the gateway to the platform: CN gateway.example.ch, clientAuth
#   sender              some other company's client certificate
#   internal            exchange.example.ch, localhost; issued by corporate-ca.pem
#   internal-client     the internal mail server as a client; issued by corporate-ca.pem
#   platform-expired, platform-wrong-name, platform-wrong-org, platform-no-eku (server only)
#   platform-rogue, client-rogue   like the good ones, issued by rogue-ca.pem
#   platform-self       like platform, self-signed
set -eu

if [ $# -ne 1 ]; then
    echo "usage: $0 OUTDIR" >&2
    exit 64
fi
umask 077
mkdir -p "$1"
cd "$1"
work=$(mktemp -d)
# openssl talks on stderr even when all is well: it is shown only when something failed.
finish() {
    [ $? -eq 0 ] || cat "$work/err" >&2
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 75' INT TERM

# Every certificate's key is P-256 unless RSA is wanted: quick to make and quick to sign with.
new_key() { # name kind
    if [ "$2" = rsa ]; then
        set -- "$1" RSA rsa_keygen_bits:2048
    else
        set -- "$1" EC ec_paramgen_curve:P-256
    fi
    openssl genpkey -algorithm "$2" -pkeyopt "$3" -out "$1.key" 2>"$work/err"
}

extensions() { # extended key usage, subject alternative names
    printf '[e]\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n'
    printf 'subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n'
    printf 'extendedKeyUsage=%s\nsubjectAltName=%s\n' "$1" "$2"
}

root() { # name subject
    new_key "$1" ec
    openssl req -x509 -new -key "$1.key" -sha256 -days 3650 -subj "$2" -out "$1.pem" \
        -addext keyUsage=critical,keyCertSign,cRLSign
}

# Makes NAME.key and NAME.pem, signed by ISSUER's key; the intermediate's certificate is appended.
leaf() { # name kind issuer subject eku san [validity options of "openssl ca"]
    name=$1 kind=$2 issuer=$3 subject=$4 eku=$5 san=$6
    shift 6
    new_key "$name" "$kind"
    openssl req -new -key "$name.key" -subj "$subject" -out "$work/csr"
    extensions "$eku" "$san" >"$work/ext"
    if [ $# -eq 0 ]; then
        openssl x509 -req -in "$work/csr" -CA "$issuer.pem" -CAkey "$issuer.key" -sha256 -days 825 \
            -set_serial "0x$(openssl rand -hex 15)" -extfile "$work/ext" -extensions e \
            -out "$name.pem" 2>"$work/err"
    else
        : >"$work/index"
        printf '[ca]\ndefault_ca=c\n[c]\ndatabase=%s/index\nnew_certs_dir=%s\nrand_serial=yes\n' "$work" "$work" >"$work/ca"
        printf 'default_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\norganizationName=optional\n' >>"$work/ca"
        openssl ca -batch -notext -preserveDN -config "$work/ca" -in "$work/csr" -cert "$issuer.pem" -keyfile "$issuer.key" \
            -extfile "$work/ext" -extensions e "$@" -out "$name.pem" 2>"$work/err"
    fi
    if [ "$issuer" = intermediate ]; then
        cat intermediate.pem >>"$name.pem"
    fi
}

root ca "/O=MGI Demo Trust/CN=MGI Demo Public Root"
root corporate-ca "/O=Example AG/CN=Example AG Corporate Root"
root rogue-ca "/O=MGI Demo Trust/CN=MGI Demo Public Root" # the same name, another key

new_key intermediate ec
openssl req -new -key intermediate.key -subj "/O=MGI Demo Trust/CN=MGI Demo Issuing CA" -out "$work/csr"
printf '[e]\nbasicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n' >"$work/ext"
openssl x509 -req -in "$work/csr" -CA ca.pem -CAkey ca.key -sha256 -days 3650 \
    -set_serial "0x$(openssl rand -hex 15)" -extfile "$work/ext" -extensions e -out intermediate.pem 2>"$work/err"

post="/C=CH/O=Post CH AG/CN=im.post.ch"
post_names="DNS:im.post.ch,DNS:*.incamail.com"
both="serverAuth,clientAuth"
leaf platform ec intermediate "$post" "$both" "$post_names"
for variant in :ec -rsa:rsa; do
    leaf "server${variant%:*}" "${variant#*:}" intermediate "/C=CH/O=Example AG/CN=mx1.example.ch" \
        serverAuth "DNS:mx1.example.ch,DNS:gateway.example.ch"
    leaf "client${variant%:*}" "${variant#*:}" intermediate "/C=CH/O=Example AG/CN=gateway.example.ch" \
        clientAuth "DNS:gateway.example.ch"
done
leaf sender ec intermediate "/C=CH/O=Partner GmbH/CN=mail.partner.example" "$both" "DNS:mail.partner.example"
leaf internal ec corporate-ca "/O=Example AG/CN=exchange.example.ch" serverAuth \
    "DNS:exchange.example.ch,DNS:localhost,IP:127.0.0.1,IP:::1"
leaf internal-client ec corporate-ca "/O=Example AG/CN=exchange.example.ch" clientAuth "DNS:exchange.example.ch"

leaf platform-expired ec intermediate "/O=Post CH AG/CN=im.post.ch" "$both" "$post_names" \
    -startdate 20240101000000Z -enddate 20250101000000Z
leaf platform-wrong-name ec intermediate "$post" "$both" "DNS:mail.evil.example"
leaf platform-wrong-org ec intermediate "/C=CH/O=Evil Corp/CN=im.post.ch" "$both" "$post_names"
leaf platform-no-eku ec intermediate "$post" serverAuth "$post_names"
leaf platform-rogue ec rogue-ca "$post" "$both" "$post_names"
leaf client-rogue ec rogue-ca "/C=CH/O=Example AG/CN=gateway.example.ch" clientAuth "DNS:gateway.example.ch"
new_key platform-self ec
openssl req -x509 -new -key platform-self.key -sha256 -days 825 -subj "$post" -out platform-self.pem \
    -addext "subjectAltName=$post_names" -addext "extendedKeyUsage=$both"
