#!/usr/bin/env bash
# Makes what lies beside it anew: two authorities that only benchmarks and long runs trust, and the first one's certificate
# for the loopback address. The authorities' keys are thrown away; the server's has to be here and protects nothing.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# `openssl ca` alone can say when a validity begins: a machine whose clock is behind has to accept these too.
cat >"$work/ca.cnf" <<CNF
[ca]
default_ca = any
[any]
database = $work/index
new_certs_dir = $work
rand_serial = yes
default_md = sha256
default_startdate = 20200101000000Z
default_enddate = 21200101000000Z
policy = policy
unique_subject = no
[policy]
commonName = supplied
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
[req]
distinguished_name = name
[name]
CNF
touch "$work/index"

request() {
  openssl req -config "$work/ca.cnf" -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$2" -out "$work/csr" -subj "/CN=$1"
}
sign() { openssl ca -config "$work/ca.cnf" -batch -notext -in "$work/csr" "$@"; }

for name in stranger authority; do
  request "ferropool bench $name" "$work/$name.key"
  sign -selfsign -keyfile "$work/$name.key" -extensions authority -out "$name.pem"
done
request localhost server.key
sign -keyfile "$work/authority.key" -cert authority.pem -extensions server -out server.pem
chmod 644 ./*.pem server.key
