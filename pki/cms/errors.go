package cms

import "errors"

var (
	// ErrMalformed means that the input is not the structure that was asked for.
	ErrMalformed = errors.New("malformed message")
	// ErrTooBig means that the input exceeds MaxSize.
	ErrTooBig = errors.New("message too big")
	// ErrAlgorithm means that a digest, cipher or key type is not supported here.
	ErrAlgorithm = errors.New("unsupported algorithm")
	// ErrSignature means that a digest or signature does not match.
	ErrSignature = errors.New("signature does not verify")
	// ErrNoSigner means that the signer's certificate is not in the message.
	ErrNoSigner = errors.New("no certificate of the signer")
	// ErrRecipient means that the message is not encrypted to the given certificate.
	ErrRecipient = errors.New("not encrypted to this certificate")
	// ErrDecrypt means that decryption gave nothing sensible; it says no more on purpose (padding oracles).
	ErrDecrypt = errors.New("message does not decrypt")
)
