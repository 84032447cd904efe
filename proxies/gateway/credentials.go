package gateway

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/stage"
	"crossroads/proxies/stage/redislimit"
)

// guards are the stages that say who may do what, and what they need to be taken over by the next snapshot: one whose settings are the
// same keeps what it remembers. Those that are off are nil.
type guards struct {
	cors          *stage.CORS
	key           *stage.KeyAuth
	jwt           *stage.JWT
	introspection *stage.Introspection
	access        *stage.Authorization
	limits        [2]*stage.RateLimit // before and behind authentication
	store         *redislimit.Store   // of limits; nil: their own table
	secrets       [2]string           // of introspection, and of the store
}

// buildGuards makes the stages; a reload asks for keys again, and neither forgets tokens nor forgives anybody's debt.
func (g *Gateway) buildGuards(s *snapshot, old *snapshot) (err error) {
	c, made := &s.config.Stages, &s.guards
	var before *config.GatewayStages
	if old != nil {
		before = &old.config.Stages
	}
	if c.CORS != nil && c.CORS.Mode != config.Off {
		made.cors = stage.NewCORS(c.CORS, g.metrics)
	}
	if c.KeyAuth != nil && c.KeyAuth.Mode != config.Off {
		if made.key, err = stage.NewKeyAuth(c.KeyAuth, g.metrics); err != nil {
			return err
		}
	}
	if c.Authorization != nil && c.Authorization.Mode != config.Off {
		made.access = stage.NewAuthorization(c.Authorization, g.metrics)
	}
	if c.JWT != nil && c.JWT.Mode != config.Off {
		if before != nil && old.guards.jwt != nil && reflect.DeepEqual(c.JWT, before.JWT) {
			made.jwt = old.guards.jwt
			made.jwt.Refresh()
		} else if made.jwt, err = stage.NewJWT(c.JWT, g.metrics); err != nil {
			return fmt.Errorf("stage jwt: %w", err)
		}
	}
	if c.Introspection != nil && c.Introspection.Mode != config.Off {
		if err = g.buildIntrospection(c.Introspection, made, old); err != nil {
			return fmt.Errorf("stage introspection: %w", err)
		}
	}
	return g.buildLimits(c.RateLimit, made, old)
}

func (g *Gateway) buildIntrospection(c *config.Introspection, made *guards, old *snapshot) (err error) {
	if made.secrets[0], err = readSecret(c.ClientSecret); err != nil {
		return err
	}
	if old != nil && old.guards.introspection != nil && reflect.DeepEqual(c, old.config.Stages.Introspection) && made.secrets[0] == old.guards.secrets[0] {
		made.introspection = old.guards.introspection
		return nil
	}
	made.introspection, err = stage.NewIntrospection(c, made.secrets[0], g.metrics)
	return err
}

func (g *Gateway) buildLimits(c *config.RateLimit, made *guards, old *snapshot) (err error) {
	if c == nil || c.Mode == config.Off {
		return nil
	}
	if c.Redis != nil && c.Redis.Password != nil {
		if made.secrets[1], err = readSecret(*c.Redis.Password); err != nil {
			return fmt.Errorf("stage rate_limit: %w", err)
		}
	}
	if old != nil && reflect.DeepEqual(c, old.config.Stages.RateLimit) && made.secrets[1] == old.guards.secrets[1] {
		made.limits, made.store = old.guards.limits, old.guards.store
		return nil
	}
	if c.Redis == nil {
		made.limits[0], made.limits[1] = stage.NewRateLimits(c, g.metrics)
		return nil
	}
	roots, err := stage.LoadRoots(c.Redis.Roots)
	if err != nil {
		return fmt.Errorf("stage rate_limit: %w", err)
	}
	made.store = redislimit.New(c.Redis, made.secrets[1], roots, g.metrics)
	made.limits[0], made.limits[1] = stage.NewSharedRateLimits(c, made.store, g.metrics)
	return nil
}

// release gives back what next does not use any more, once no request in flight can use it either.
func (old *guards) release(next *guards) {
	if old.store != nil && old.store != next.store {
		time.AfterFunc(time.Minute, func() { _ = old.store.Close() })
	}
}

// readSecret reads what a reference stands for.
func readSecret(s config.Secret) (string, error) {
	if s.Env != "" {
		value, ok := os.LookupEnv(s.Env)
		if !ok || value == "" {
			return "", fmt.Errorf("read a secret: the environment variable %s is not set", s.Env)
		}
		return value, nil
	}
	data, err := os.ReadFile(s.File)
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if value == "" {
		return "", fmt.Errorf("read a secret: %s is empty", s.File)
	}
	return value, nil
}
