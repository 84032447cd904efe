package topologies

// elsewhere are proxies that run where a deployer brings them a platform, with what they need. This version has none of these deployers:
// the words are known, so that a file can say what is wanted, and the error says what is missing.
var elsewhere = map[string]struct{ deployers, because string }{
	"kong":    {"docker or kubernetes", "it comes as an image with a runtime of its own"},
	"linkerd": {"kubernetes", "its control plane and injector know services from the cluster's API"},
	"istio":   {"kubernetes", "its control plane knows services from the cluster's API"},
}

// Words that an experiment file may use where a choice is asked for.
const (
	Reference = "reference" // our own proxy
	Relay     = "relay"     // the floor relay: input and output and nothing else

	ModeOff    = "off"
	ModeShadow = "shadow"
	ModeOn     = "on"

	SidecarsNone   = "none"
	SidecarsClient = "client"
	SidecarsServer = "server"
	SidecarsBoth   = "both"

	MTLSStrict     = "strict"
	MTLSPermissive = "permissive"
	MTLSOff        = "off"

	AppTCP  = "tcp"
	AppUnix = "unix"

	ProtocolHTTP   = "http"
	ProtocolOpaque = "opaque"

	ModeDryRun = "dry_run"

	LedgerSampled = "sampled"
	LedgerAlways  = "always"

	balanceDefault = "round_robin"

	ArrivalsConstant = "constant"
	ArrivalsPoisson  = "poisson"
	ArrivalsRamp     = "ramp"
	ArrivalsRecorded = "recorded"

	DriverNative = "native"
	DriverVegeta = "vegeta"

	CallsAtOnce  = "at_once"
	CallsInOrder = "in_order"

	PacingPrecise    = "precise"
	PacingEconomical = "economical"

	MetricP        = "p"
	MetricErrors   = "errors"
	MetricAchieved = "achieved"
)

var (
	gateways        = []string{Reference, Relay, "nginx", "haproxy", "envoy", "traefik", "caddy", "kong"}
	meshes          = []string{Reference, Relay, "nginx", "haproxy", "envoy", "linkerd", "istio"}
	apps            = []string{AppTCP, AppUnix}
	protocols       = []string{ProtocolHTTP, ProtocolOpaque}
	ledgers         = []string{ModeOff, LedgerSampled, LedgerAlways}
	decisions       = []string{ModeOff, ModeDryRun, ModeOn}
	switches        = []string{ModeOff, ModeOn}
	modes           = []string{ModeOff, ModeShadow, ModeOn}
	sidecars        = []string{SidecarsNone, SidecarsClient, SidecarsServer, SidecarsBoth}
	mtls            = []string{MTLSStrict, MTLSPermissive, MTLSOff}
	balances        = []string{balanceDefault, "least_request"}
	gatewayBalances = []string{balanceDefault, "least_request", "peak_ewma", "random", "hash"}
	arrivals        = []string{ArrivalsConstant, ArrivalsPoisson, ArrivalsRamp, ArrivalsRecorded}
	drivers         = []string{DriverNative, DriverVegeta}
	pacings         = []string{PacingPrecise, PacingEconomical}
	orders          = []string{CallsAtOnce, CallsInOrder}
	methods         = []string{"GET", "POST", "PUT", "PATCH", "DELETE"}
	operators       = []string{"<=", ">=", "<", ">"} // the longer first: they are matched in this order
)
