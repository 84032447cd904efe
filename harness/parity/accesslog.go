package parity

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"crossroads/harness/deploy"
	"crossroads/topologies"
)

// logPatience is how long a line may take to the file: the log is written in the background.
const logPatience = 3 * time.Second

// accessLog looks for the line of a request that only this probe makes, and for what it says.
func (c *checker) accessLog(ctx context.Context) []string {
	g := c.arm.Topology.Gateway
	if g == nil || g.Stages.Mode(topologies.StageAccessLog) == topologies.ModeOff {
		return nil // that there is none, `stages` asks
	}
	return each(c.deployment.Entries(), func(entry deploy.Entry) []string {
		p, known := c.gateway(entry)
		if !known || p.Access == "" {
			return one("%s keeps no access log where access_log is on", entry.Name)
		}
		logged, only := c.first(), fmt.Sprintf("crossroads-logged-%x", rand.Uint64())
		logged.Path = "/" + only
		got, err := c.ask(ctx, entry.URL, logged, 0)
		if err != nil {
			return one("a request to be logged at %s: %v", entry.Name, err)
		}
		due := []string{logged.Path, method(logged), strconv.Itoa(got.status)}
		if g.Stages.Mode(topologies.StageKeyAuth) == topologies.ModeOn {
			due = append(due, topologies.DemoConsumer)
		}
		c.saw(topologies.StageAccessLog, topologies.StageAccessLog, "the log's line of a request that only the probe makes", "it says "+strings.Join(due[1:], ", ")+" and the path")
		for until := time.Now().Add(logPatience); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
			if line := lineOf(p.Access, only); line != nil {
				return leftOut(entry.Name, line, due)
			}
		}
		return one("the access log of %s has no line of a request after %v", entry.Name, logPatience)
	})
}

// lineOf is the line of a file in which a word stands; nil where none is complete.
func lineOf(file, word string) []byte {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	for line := range bytes.Lines(text) {
		if bytes.HasSuffix(line, []byte("\n")) && bytes.Contains(line, []byte(word)) {
			return line
		}
	}
	return nil
}

// leftOut holds a line against what it is due to say, under whatever names: each program has its own.
func leftOut(entry string, line []byte, due []string) []string {
	var said any
	numbers := json.NewDecoder(bytes.NewReader(line))
	numbers.UseNumber()
	if err := numbers.Decode(&said); err != nil {
		return one("a line of the access log of %s is not JSON: %v: %s", entry, err, shorten(line))
	}
	values := scalars(said)
	return each(due, func(value string) []string {
		if slices.Contains(values, value) {
			return nil
		}
		return one("a line of the access log of %s does not say %s: %s", entry, value, shorten(line))
	})
}

// scalars are all values in a JSON text, in whatever they stand.
func scalars(said any) []string {
	var all []string
	switch said := said.(type) {
	case map[string]any:
		for _, value := range said {
			all = append(all, scalars(value)...)
		}
	case []any:
		for _, value := range said {
			all = append(all, scalars(value)...)
		}
	default:
		all = append(all, fmt.Sprint(said))
	}
	return all
}
