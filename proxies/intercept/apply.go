package intercept

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Tools that write rules.
const (
	NFT      = "nft"
	Iptables = "iptables"
)

// Find returns the tool that this machine has, nft before iptables.
func Find() (string, error) {
	for _, tool := range []string{NFT, Iptables} {
		if _, err := exec.LookPath(tool); err == nil {
			return tool, nil
		}
	}
	return "", errors.New("neither nft nor iptables is on the path: install nftables")
}

// Print writes the rules as the tool reads them.
func Print(p Plan, tool string) (string, error) {
	if err := p.Check(); err != nil {
		return "", err
	}
	switch tool {
	case NFT:
		return p.NFTables(), nil
	case Iptables:
		return "# iptables-restore --noflush\n" + p.IPTables(false) + "# ip6tables-restore --noflush\n" + p.IPTables(true), nil
	}
	return "", fmt.Errorf("%q writes no rules: known are nft and iptables", tool)
}

// Install puts the rules in force, in place of those installed before.
func Install(ctx context.Context, p Plan, tool string) error {
	if _, err := Print(p, tool); err != nil {
		return err
	}
	if tool == NFT {
		return run(ctx, p.NFTables(), NFT, "-f", "-")
	}
	if err := Remove(ctx, tool); err != nil {
		return err
	}
	for _, six := range []bool{false, true} {
		if err := run(ctx, p.IPTables(six), command(six)+"-restore", "--noflush"); err != nil {
			return errors.Join(err, Remove(ctx, tool)) // half of the rules would let the other half through
		}
	}
	return nil
}

func command(six bool) string {
	if six {
		return "ip6tables"
	}
	return "iptables"
}

// Remove takes the rules away. Where none are it does nothing.
func Remove(ctx context.Context, tool string) error {
	switch tool {
	case NFT:
		// Added first: to delete what is not there is an error, in one transaction it is nothing.
		return run(ctx, fmt.Sprintf("table inet %s\ndelete table inet %s\n", Table, Table), NFT, "-f", "-")
	case Iptables:
		return errors.Join(removeChains(ctx, false), removeChains(ctx, true))
	}
	return fmt.Errorf("%q writes no rules: known are nft and iptables", tool)
}

func removeChains(ctx context.Context, six bool) error {
	var all error
	for _, c := range []struct{ hook, chain string }{{"OUTPUT", chainOut}, {"PREROUTING", chainIn}} {
		if run(ctx, "", command(six), "-t", "nat", "-n", "-L", c.chain) != nil {
			continue // not there
		}
		for run(ctx, "", command(six), "-t", "nat", "-D", c.hook, "-p", "tcp", "-j", c.chain) == nil {
		}
		all = errors.Join(all,
			run(ctx, "", command(six), "-t", "nat", "-F", c.chain),
			run(ctx, "", command(six), "-t", "nat", "-X", c.chain))
	}
	return all
}

// run runs a tool with text as its input; what it says belongs to the error.
func run(ctx context.Context, text, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Stdin = strings.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
