#!/bin/sh
# Made the certificates beside it with OpenSSL 3.0.19: a root, two issuers, a server and a device. The keys are not
# kept; who runs it again gets others.
set -eu
work=$(mktemp -d)
issue() { # subject, issuer, extensions
    printf '%s' "$3" >"$work/ext"
    openssl ecparam -name prime256v1 -genkey -noout -out "$work/$1.key"
    openssl req -new -key "$work/$1.key" -subj "/O=Example/CN=$4" -out "$work/$1.csr"
    if [ "$1" = "$2" ]; then by="-signkey $work/$1.key"; else by="-CA $work/$2.pem -CAkey $work/$2.key"; fi
    # shellcheck disable=SC2086
    openssl x509 -req -in "$work/$1.csr" $by -sha256 -days 18000 -extfile "$work/ext" -out "$work/$1.pem"
    openssl x509 -in "$work/$1.pem" -outform DER -out "$1.der"
}
ca='basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
'
issue root root "$ca" root
issue one root "$ca
authorityKeyIdentifier=keyid" one
issue two one 'basicConstraints=critical,CA:TRUE,pathlen:0
keyUsage=critical,keyCertSign
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid' two
issue server two 'keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectAltName=DNS:manager.example
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid' server
issue device two 'keyUsage=critical,digitalSignature
extendedKeyUsage=clientAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid' 00-12-4B-00-00-00-00-01
rm -r "$work"
