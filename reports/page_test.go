package reports_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"image/color"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/reports"
	"crossroads/reports/figure"
	"crossroads/results"
)

func TestPageIsSelfContainedAndSmall(t *testing.T) {
	for name := range scenes {
		page := html(t, name)
		require.LessOrEqual(t, len(page), 500_000, name)
		require.NotRegexp(t, `<script[ >]`, page)
		require.NotRegexp(t, `\s(src|srcset|action|on\w+)=`, page)
		require.NotRegexp(t, `\sstyle=`, page, "a style attribute is not covered by the policy's hash")
		require.NotContains(t, page, "url(")
		for _, href := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
			require.Regexp(t, `^(#|figures/|\.\./)`, href[1])
		}
	}
}

func TestPolicyHoldsTheHashOfTheStyleSheet(t *testing.T) {
	page := html(t, "quick")
	css := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(page)
	require.Len(t, css, 2)
	sum := sha256.Sum256([]byte(css[1]))
	policy := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)
	require.Len(t, policy, 2)
	value := strings.NewReplacer("&#39;", "'", "&#43;", "+").Replace(policy[1])
	require.Equal(t, "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'; base-uri 'none'; form-action 'none'", value)
}

// A run too large for its page is written lean, and the page says what it left out.
func TestLargeRunIsWrittenLean(t *testing.T) {
	rec := synthetic(storefront(), []float64{1000}, 6)
	change(&rec, func(results.Trial) bool { return true }, func(tr *results.Trial) {
		tr.Flags = []results.Reason{{Rule: results.RuleOrigin, Text: strings.Repeat("the application used most of the CPU. ", 700)}}
	})
	r, err := reports.FromRecords(rec)
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, reports.WriteHTML(&b, r, ""))
	require.LessOrEqual(t, b.Len(), 500_000)
	require.Contains(t, b.String(), "24 valid trials not listed to keep the page small")
	require.Contains(t, b.String(), `class="chart only"`)
	require.NotContains(t, b.String(), "Raw records", "without a way to the records there are no links")
}

// The page is also well-formed XML but for a few void elements, so a decoder that knows them can walk it.
func walk(t *testing.T, page string, visit func(path []string, e xml.StartElement)) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, []string{"meta"}, xml.HTMLEntity
	var path []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			require.Empty(t, path)
			return
		}
		require.NoError(t, err)
		switch e := token.(type) {
		case xml.StartElement:
			path = append(path, e.Name.Local)
			visit(path, e)
		case xml.EndElement:
			require.Equal(t, path[len(path)-1], e.Name.Local)
			path = path[:len(path)-1]
		}
	}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func TestPageIsAccessible(t *testing.T) {
	for _, name := range []string{"storefront", "troubled", "zero"} {
		count, ids := map[string]int{}, map[string]bool{}
		var labelled []string
		walk(t, html(t, name), func(path []string, e xml.StartElement) {
			count[e.Name.Local]++
			if id := attribute(e, "id"); id != "" {
				require.False(t, ids[id], "the id %q stands twice", id)
				ids[id] = true
			}
			labelled = append(labelled, strings.Fields(attribute(e, "aria-labelledby"))...)
			if h := attribute(e, "href"); strings.HasPrefix(h, "#") {
				labelled = append(labelled, h[1:])
			}
			parent := ""
			if len(path) > 1 {
				parent = path[len(path)-2]
			}
			switch e.Name.Local {
			case "th":
				require.Contains(t, []string{"col", "row"}, attribute(e, "scope"))
			case "caption":
				require.Equal(t, "table", parent)
			case "table":
				require.Equal(t, "div", parent, "a wide table scrolls in a box of its own")
			case "svg":
				require.Equal(t, "img", attribute(e, "role"))
				require.NotEmpty(t, attribute(e, "aria-labelledby"))
			}
		})
		require.Equal(t, count["table"], count["caption"])
		require.Equal(t, count["figure"], count["figcaption"])
		require.Equal(t, count["svg"], count["desc"])
		require.Equal(t, 1, count["h1"])
		for _, id := range labelled {
			require.True(t, ids[id], "%q is pointed at and is not there", id)
		}
	}
}

func TestNamesOfUsersAreEscaped(t *testing.T) {
	page := html(t, "crowded")
	require.NotContains(t, page, `<script>alert`)
	require.Contains(t, page, `&lt;script&gt;alert(`)
	require.NotContains(t, page, "\x1b")
	require.Contains(t, page, "メッシュ・相互認証")
	require.NotContains(t, html(t, "troubled"), "<b>accept</b>", "log lines are text")
}

// WCAG 2.2, 1.4.3, for the colours of the style sheet that are not in the palette of the figures.
func TestContrastOfTheStyleSheet(t *testing.T) {
	page := html(t, "quick")
	css := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(page)[1]
	parts := strings.SplitN(css, "@media (prefers-color-scheme:dark)", 2)
	for i, sheet := range parts {
		vars := map[string]color.NRGBA{}
		for _, m := range regexp.MustCompile(`--([\w-]+):#([0-9a-f]{3,6})\b`).FindAllStringSubmatch(sheet, -1) {
			if _, seen := vars[m[1]]; seen {
				continue // the print sheet follows
			}
			var c color.NRGBA
			_, err := fmt.Sscanf(m[2], "%02x%02x%02x", &c.R, &c.G, &c.B)
			require.NoError(t, err)
			c.A = 255
			vars[m[1]] = c
		}
		for _, pair := range [][2]string{{"good", "good-bg"}, {"warn", "warn-bg"}, {"bad", "bad-bg"}, {"warn", "paper"}, {"bad", "paper"},
			{"link", "paper"}, {"ink", "paper"}, {"muted", "paper"}, {"ink", "shade"}} {
			require.Contains(t, vars, pair[0])
			require.Contains(t, vars, pair[1])
			require.GreaterOrEqual(t, figure.Contrast(vars[pair[0]], vars[pair[1]]), 4.5, "%v, sheet %d", pair, i)
		}
	}
}
