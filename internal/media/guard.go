package media

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"code.dny.dev/ssrf"
	"golang.org/x/net/idna"
)

// Guard keeps requests to addresses that people type from reaching what only this machine can reach: its own services,
// the network around it, and the metadata service of a cloud. It looks at every address right before it connects,
// after names were resolved, so a name that answers differently the second time gains nothing. It is safe for
// concurrent use.
type Guard struct {
	allow    map[string]bool // "host:port", lower case, ASCII
	resolver *net.Resolver
	public   *ssrf.Guardian
}

// maxURL bounds an address that a person gives, in bytes.
const maxURL = 4096

// NewGuard returns a guard that lets through ports 80 and 443 of public addresses, and besides them what allow names:
// entries "host:port", with a name or an IP address ("nas.lan:8080", "192.0.2.7:80", "[fd00::7]:80"). An entry opens
// exactly that port under exactly that name: not another name of the same machine, nor its bare address. What an
// allowed name resolves to may be private but never link-local (where clouds keep credentials), multicast or unspecified.
//
// A nil resolver is the system's.
func NewGuard(allow []string, resolver *net.Resolver) (*Guard, error) {
	g := &Guard{allow: make(map[string]bool, len(allow)), resolver: resolver, public: ssrf.New()}
	for _, entry := range allow {
		host, port, err := net.SplitHostPort(entry)
		if err != nil {
			return nil, fmt.Errorf("allowed address %q: want host:port", entry)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return nil, fmt.Errorf("allowed address %q: want a port from 1 to 65535", entry)
		}
		if ip, err := netip.ParseAddr(host); err == nil {
			host = ip.String()
		} else if host, err = asciiHost(host); err != nil || host == "" {
			return nil, fmt.Errorf("allowed address %q: want a host name or an IP address", entry)
		}
		g.allow[net.JoinHostPort(strings.ToLower(host), port)] = true
	}
	return g, nil
}

// asciiHost is a host as net/http dials it: names in ASCII stay as they are, underscores of container names included.
func asciiHost(host string) (string, error) {
	if strings.IndexFunc(host, func(r rune) bool { return r > unicode.MaxASCII }) < 0 {
		return host, nil
	}
	return idna.Lookup.ToASCII(host)
}

// CheckURL refuses, with CodeFetchRefused, what is no plain web address: another scheme than http and https, a user
// name or password, no host. Where its host leads is judged when connecting.
func (g *Guard) CheckURL(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Hostname() == "" || u.Opaque != "" {
		return refused(nil)
	}
	return nil
}

// Transport returns a transport that connects only where the guard lets it. It uses no proxy, since a proxy would do
// the connecting, and a new connection for each request. A refusal of the guard is an *Error with CodeFetchRefused
// somewhere in the chain.
func (g *Guard) Transport() *http.Transport {
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            g.dial,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

func (g *Guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, Resolver: g.resolver, Control: g.control(address)}
	conn, err := d.DialContext(ctx, network, address)
	if err == nil {
		return conn, nil
	}
	// A name that is not there looks like one that leads inside: who asks shall not learn the names of our network.
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return nil, refused(err)
	}
	return nil, err
}

// control returns the check of a resolved address for a dial to host:port.
func (g *Guard) control(target string) func(network, address string, _ syscall.RawConn) error {
	host, _, _ := net.SplitHostPort(target) // what can not be split is on no list
	_, notIP := netip.ParseAddr(host)
	return func(network, address string, c syscall.RawConn) error {
		if !g.allow[strings.ToLower(target)] {
			if err := g.public.Safe(network, address, c); err != nil {
				return refused(err)
			}
			return nil
		}
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return refused(err)
		}
		if ip := ap.Addr().Unmap(); notIP != nil &&
			(ip.IsUnspecified() || ip.IsMulticast() || ip.IsLinkLocalUnicast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255})) {
			return refused(nil)
		}
		return nil
	}
}

// refused is the same for every address and reason: an answer that differs would let people map a network from here.
func refused(cause error) error {
	return &Error{
		Code:    CodeFetchRefused,
		Message: "this address does not exist or may not be fetched from here",
		cause:   cause,
	}
}
