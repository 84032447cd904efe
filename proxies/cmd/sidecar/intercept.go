package main

import (
	"fmt"
	"net/netip"
	"os/user"
	"strconv"

	"github.com/spf13/cobra"

	"crossroads/proxies/intercept"
	"crossroads/proxies/operate"
)

// interceptCommand manages the rules that redirect connections to a sidecar.
func interceptCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "intercept",
		Short: "Redirect the application's connections to the sidecar (Linux; nftables or iptables)",
		Example: `  sidecar intercept print --user sidecar      # the rules, without installing them
  sidecar intercept install --user sidecar    # needs CAP_NET_ADMIN
  sidecar intercept remove`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(interceptPrint(), interceptInstall(), interceptRemove())
	return c
}

func interceptPrint() *cobra.Command {
	c := &cobra.Command{
		Use:     "print --user USER",
		Short:   "Print the rules and change nothing",
		Example: `  sidecar intercept print --user 1337 --tool iptables`,
		Args:    cobra.NoArgs,
	}
	plan, tool := planFlags(c), toolFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		p, err := plan()
		if err != nil {
			return operate.Usage(err)
		}
		text, err := intercept.Print(p, orNFT(*tool))
		if err != nil {
			return operate.Usage(err)
		}
		_, err = fmt.Fprint(c.OutOrStdout(), text)
		return err
	}
	return c
}

func interceptInstall() *cobra.Command {
	c := &cobra.Command{
		Use:     "install --user USER",
		Short:   "Put the rules in force, in place of those installed before",
		Example: `  sidecar intercept install --user sidecar --skip-in 9901 --skip-to 10.0.0.0/24`,
		Args:    cobra.NoArgs,
	}
	plan, tool := planFlags(c), toolFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		p, err := plan()
		if err != nil {
			return operate.Usage(err)
		}
		if err := p.Check(); err != nil {
			return operate.Usage(err)
		}
		with, err := found(*tool)
		if err != nil {
			return err
		}
		return operate.Hint(intercept.Install(c.Context(), p, with), "rules of the kernel need root, or CAP_NET_ADMIN")
	}
	return c
}

func interceptRemove() *cobra.Command {
	c := &cobra.Command{
		Use:     "remove",
		Short:   "Take the rules away; without any it does nothing",
		Example: `  sidecar intercept remove`,
		Args:    cobra.NoArgs,
	}
	tool := toolFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		with, err := found(*tool)
		if err != nil {
			return err
		}
		return operate.Hint(intercept.Remove(c.Context(), with), "rules of the kernel need root, or CAP_NET_ADMIN")
	}
	return c
}

func toolFlag(c *cobra.Command) *string {
	return c.Flags().String("tool", "", "what writes the rules: nft or iptables; default: what is there, nft first")
}

func found(tool string) (string, error) {
	if tool != "" {
		return tool, nil
	}
	return intercept.Find()
}

// orNFT lets print work where neither tool is installed.
func orNFT(tool string) string {
	if with, err := found(tool); err == nil {
		return with
	}
	return intercept.NFT
}

// planFlags declares what is to be redirected.
func planFlags(c *cobra.Command) func() (intercept.Plan, error) {
	f := c.Flags()
	owner := f.String("user", "", "`USER` of the sidecar, by name or number: its own connections are left alone")
	mark := f.Uint32("mark", 0, "leave sockets with this mark alone")
	out := f.Int("outbound-port", 4142, "outbound.transparent of the sidecar; 0: leave outbound connections alone")
	in := f.Int("inbound-port", 4143, "inbound of the sidecar; 0: leave inbound connections alone")
	skipOut := f.IntSlice("skip-out", nil, "destination ports to leave alone")
	skipIn := f.IntSlice("skip-in", nil, "ports of this machine to leave alone")
	skipTo := f.StringSlice("skip-to", nil, "destination networks to leave alone, such as 10.0.0.0/8")
	return func() (intercept.Plan, error) {
		p := intercept.Plan{UID: -1, Mark: *mark, Outbound: *out, Inbound: *in, SkipOut: *skipOut, SkipIn: *skipIn}
		for _, text := range *skipTo {
			to, err := netip.ParsePrefix(text)
			if err != nil {
				return p, fmt.Errorf("--skip-to %s is not a network: write an address and the bits of its prefix", text)
			}
			p.SkipTo = append(p.SkipTo, to.Masked())
		}
		if *owner == "" {
			return p, nil
		}
		id := *owner
		if u, err := user.Lookup(id); err == nil {
			id = u.Uid
		}
		uid, err := strconv.ParseUint(id, 10, 31)
		if err != nil {
			return p, fmt.Errorf("--user %s is neither a number nor a user of this machine", *owner)
		}
		p.UID = int(uid)
		return p, nil
	}
}
