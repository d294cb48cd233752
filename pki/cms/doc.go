// Package cms reads and writes the part of the Cryptographic Message Syntax (RFC 5652) that devices speak: signed data
// with one signer, enveloped data for one RSA recipient, and certificates-only bundles.
//
// Input is BER as real clients send it (indefinite lengths, OCTET STRINGs in pieces, DES to AES, SHA-1 to SHA-512);
// output is DER with SHA-256 and AES. The package keeps no state and no package-level settings: the caller names cipher
// and digest with each call. Every parser is safe on hostile input: sizes and depth are bounded and nothing panics.
package cms
