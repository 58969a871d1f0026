package secret

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// A sealed record is version (1 byte) | key id (4) | nonce (24) | ciphertext with its tag (16).
const (
	sealVersion = 1
	keyIDLen    = 4
	headerLen   = 1 + keyIDLen
)

// What [Sealer.Open] can refuse.
var (
	// ErrWrongKey says that a record was sealed with another master key.
	ErrWrongKey = errors.New("sealed with another master key")
	// ErrNotAuthentic says that a record was damaged, changed, or sealed for something else.
	ErrNotAuthentic = errors.New("sealed record is damaged or belongs to something else")
	// ErrSealFormat says that a record is none, or of a version that this program does not know.
	ErrSealFormat = errors.New("sealed record of an unknown form")
)

// Sealer encrypts and authenticates secrets that lie on disk, with XChaCha20-Poly1305 under a key derived from the
// master key. It is safe for concurrent use.
type Sealer struct {
	aead           cipher.AEAD
	header         [headerLen]byte
	fingerprintKey []byte
}

// NewSealer makes the sealer of a master key.
func NewSealer(masterKey [KeySize]byte) (*Sealer, error) {
	derive := func(purpose string, n int) ([]byte, error) {
		key, err := hkdf.Key(sha256.New, masterKey[:], nil, "crier "+purpose+" v1", n)
		if err != nil {
			return nil, fmt.Errorf("derive the %s key: %w", purpose, err)
		}
		return key, nil
	}
	sealKey, err := derive("seal", chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	fingerprintKey, err := derive("fingerprint", sha256.Size)
	if err != nil {
		return nil, err
	}
	keyID, err := derive("key id", keyIDLen)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.NewX(sealKey)
	if err != nil {
		return nil, fmt.Errorf("set up the seal: %w", err)
	}
	s := &Sealer{aead: aead, fingerprintKey: fingerprintKey}
	s.header[0] = sealVersion
	copy(s.header[1:], keyID)
	return s, nil
}

// Seal encrypts plain. aad names what the record belongs to, such as kind, platform and identity of an account: only
// the same aad opens it again, so a record that was moved to another account does not open there.
func (s *Sealer) Seal(plain []byte, aad string) ([]byte, error) {
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("make a nonce: %w", err)
	}
	sealed := make([]byte, 0, headerLen+len(nonce)+len(plain)+chacha20poly1305.Overhead)
	sealed = append(sealed, s.header[:]...)
	sealed = append(sealed, nonce...)
	return s.aead.Seal(sealed, nonce, plain, s.additional(aad)), nil
}

// Open gives back what Seal was given with the same aad. Its errors are [ErrSealFormat], [ErrWrongKey] and
// [ErrNotAuthentic]; they hold nothing of the record.
func (s *Sealer) Open(sealed []byte, aad string) ([]byte, error) {
	switch {
	case len(sealed) < headerLen+chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead, sealed[0] != sealVersion:
		return nil, ErrSealFormat
	case [headerLen]byte(sealed[:headerLen]) != s.header:
		return nil, ErrWrongKey
	}
	nonce, ciphertext := sealed[headerLen:headerLen+chacha20poly1305.NonceSizeX], sealed[headerLen+chacha20poly1305.NonceSizeX:]
	plain, err := s.aead.Open(nil, nonce, ciphertext, s.additional(aad))
	if err != nil {
		return nil, ErrNotAuthentic
	}
	return plain, nil
}

// additional is the header, so that it cannot be changed either, followed by what the record belongs to.
func (s *Sealer) additional(aad string) []byte {
	return append(s.header[:], aad...)
}

// Fingerprint names a secret without holding it: equal secrets have equal fingerprints under one master key, and
// without that key nothing can be tried against them. The absent secret has an empty fingerprint.
func (s *Sealer) Fingerprint(t Text) string {
	if t.IsZero() {
		return ""
	}
	mac := hmac.New(sha256.New, s.fingerprintKey)
	mac.Write([]byte(t.Reveal()))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
