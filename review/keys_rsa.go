package review

import (
	"crypto/rsa"

	"golang.org/x/crypto/ssh"
)

// rsaBits is the size of an RSA key's modulus, 0 for another key.
func rsaBits(key ssh.PublicKey) int {
	if wrapped, ok := key.(ssh.CryptoPublicKey); ok {
		if k, ok := wrapped.CryptoPublicKey().(*rsa.PublicKey); ok {
			return k.N.BitLen()
		}
	}
	return 0
}
