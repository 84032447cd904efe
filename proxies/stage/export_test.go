package stage

import "crossroads/proxies/jose"

// Remembered is how many tokens a stage remembers.
func Remembered(s *JWT) int { return len(s.tokens.at) }

// Judged makes the stage get an answer whatever it asks.
func Judged(s *Introspection, said []byte) *Introspection {
	s.post = func(string) (jose.Claims, error) { return readAnswer(said) }
	return s
}
