package stage_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
)

// ownCase is a token written out: header and payload as texts, in which {now+5} is a number of seconds.
type ownCase struct {
	ID, Header, Payload, Sign, Why string
	Expect                         int
}

var instant = regexp.MustCompile(`\{now([+-]\d+)\}`)

// Tokens whose texts no library would write.
func TestJWTOwnCases(t *testing.T) {
	f := newForge(t)
	source := newOrigin(t, func() string { return f.jwks })
	st := newJWT(t, jwtConfig(config.On, source.URL), metrics())
	file, err := os.Open("testdata/own_jwt_cases.jsonl")
	require.NoError(t, err)
	defer file.Close()
	walked := 0
	for d := json.NewDecoder(file); d.More(); walked++ {
		var c ownCase
		require.NoError(t, d.Decode(&c))
		payload := instant.ReplaceAllStringFunc(c.Payload, func(found string) string {
			offset, _ := strconv.ParseInt(instant.FindStringSubmatch(found)[1], 10, 64)
			return strconv.FormatInt(f.now.Unix()+offset, 10)
		})
		token := f.signed(t, b64([]byte(c.Header))+"."+b64([]byte(payload)), c.Sign, "RS256")
		for range 2 { // the second may be remembered
			x := through(request{Fields: []string{"Authorization: Bearer " + token}}, st)
			require.Equal(t, c.Expect, x.Response.StatusCode(), "%s: %s", c.ID, c.Why)
			require.Equal(t, c.Expect == 200, x.Consumer.Credential != "", "a token that is believed can be told from others")
		}
	}
	require.Greater(t, walked, 80)
	require.EqualValues(t, 1, source.fetches.Load(), "unknown keys cause no burst")
}
