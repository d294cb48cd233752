package store_test

import "crypto/sha256"

// withChecksum is a backup file with the checksum that its bytes have.
func withChecksum(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(append([]byte(nil), b...), sum[:]...)
}
