package identity

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"crossroads/proxies/config"
)

// OpenAuthority reads the authority's files. Where both are missing a root is made and written, the key readable by its owner only;
// where no file is named it lives in memory and every restart of the process is a new trust domain.
func OpenAuthority(domain spiffeid.TrustDomain, files config.CA, lifetime time.Duration, now func() time.Time) (a *Authority, made bool, err error) {
	if files.Certificate == "" && files.Key == "" {
		root, key, err := NewRoot(domain, now())
		if err != nil {
			return nil, false, err
		}
		a, err := NewAuthority(domain, []*x509.Certificate{root}, key, lifetime, now)
		return a, true, err
	}
	if missing(files.Certificate) && missing(files.Key) {
		if err := writeRoot(domain, files, now()); err != nil {
			return nil, false, err
		}
		made = true
	}
	a, err = ReadAuthority(domain, files, lifetime, now)
	return a, made, err
}

// ReadAuthority reads the authority's files as they are.
func ReadAuthority(domain spiffeid.TrustDomain, files config.CA, lifetime time.Duration, now func() time.Time) (*Authority, error) {
	text, err := os.ReadFile(files.Certificate)
	if err != nil {
		return nil, fmt.Errorf("reading the authority's certificates: %w", err)
	}
	certificates, err := parseCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", files.Certificate, err)
	}
	secret, err := os.ReadFile(files.Key)
	if err != nil {
		return nil, fmt.Errorf("reading the authority's key: %w", err)
	}
	key, err := parseKey(secret)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", files.Key, err)
	}
	a, err := NewAuthority(domain, certificates, key, lifetime, now)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", files.Certificate, files.Key, err)
	}
	return a, nil
}

// WriteAuthority writes certificates and key as PEM files, the key first: a certificate without its key would look like an
// authority that was lost.
func WriteAuthority(files config.CA, certificates []*x509.Certificate, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("writing the authority's key: %w", err)
	}
	if err := WriteSecret(files.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		return err
	}
	return writeFile(files.Certificate, encodeCertificates(certificates), 0o644)
}

func writeRoot(domain spiffeid.TrustDomain, files config.CA, now time.Time) error {
	root, key, err := NewRoot(domain, now)
	if err != nil {
		return err
	}
	return WriteAuthority(files, []*x509.Certificate{root}, key)
}

// WriteSecret writes a file that only its owner can read, from its first byte on.
func WriteSecret(file string, content []byte) error { return writeFile(file, content, 0o600) }

// writeFile replaces a file as a whole, so that a reader sees the old content or the new.
func writeFile(file string, content []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	t, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	_, err = t.Write(content)
	err = errors.Join(err, t.Chmod(mode), t.Sync(), t.Close())
	if err == nil {
		err = os.Rename(t.Name(), file)
	}
	if err != nil {
		os.Remove(t.Name())
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

func missing(file string) bool {
	_, err := os.Stat(file)
	return errors.Is(err, fs.ErrNotExist)
}

// parseKey reads one private key in PEM: PKCS #8, or SEC 1 as openssl ecparam writes it.
func parseKey(text []byte) (crypto.Signer, error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil, errors.New("no PEM block with a private key")
		}
		switch block.Type {
		case "EC PARAMETERS": // openssl writes the curve's name in front of the key
			continue
		case "EC PRIVATE KEY":
			return x509.ParseECPrivateKey(block.Bytes)
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("reading a private key: %w", err)
			}
			signer, ok := key.(crypto.Signer)
			if !ok {
				return nil, fmt.Errorf("a %T cannot sign", key)
			}
			return signer, nil
		default:
			return nil, fmt.Errorf("a PEM block of type %q where a private key is expected", block.Type)
		}
	}
}
