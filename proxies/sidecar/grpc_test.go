package sidecar

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// shelf is a gRPC service written by hand, without generated code: Take answers one text, Talk answers every text of a stream.
type shelf struct{ gone chan struct{} } // of streams whose caller has given up

type text = wrapperspb.StringValue

var talks = grpc.StreamDesc{StreamName: "Talk", ClientStreams: true, ServerStreams: true}

const longText = 64 << 10 // more than a frame of HTTP/2, and with many streams more than a connection's window

var shelfService = grpc.ServiceDesc{
	ServiceName: "shop.Shelf",
	HandlerType: (*any)(nil),
	Streams: []grpc.StreamDesc{
		{StreamName: "Take", Handler: func(srv any, s grpc.ServerStream) error { return srv.(*shelf).take(s) }}, // unary: one message each way
		{StreamName: "Talk", ClientStreams: true, ServerStreams: true, Handler: func(srv any, s grpc.ServerStream) error { return srv.(*shelf).talk(s) }},
	},
}

func (s *shelf) take(stream grpc.ServerStream) error {
	var in text
	if err := stream.RecvMsg(&in); err != nil {
		return err
	}
	stream.SetTrailer(metadata.Pairs("taken", in.Value))
	if in.Value == "nothing" {
		return status.Error(codes.NotFound, "there is no such thing: 100% gone\n")
	}
	return stream.SendMsg(&text{Value: "one " + in.Value})
}

func (s *shelf) talk(stream grpc.ServerStream) error {
	heard := 0
	for {
		var in text
		err := stream.RecvMsg(&in)
		if err == io.EOF {
			stream.SetTrailer(metadata.Pairs("heard", fmt.Sprint(heard)))
			return nil
		}
		if err != nil {
			if stream.Context().Err() == context.Canceled {
				s.gone <- struct{}{}
			}
			return err
		}
		heard++
		if err := stream.SendMsg(&text{Value: strings.ToUpper(in.Value)}); err != nil {
			return err
		}
	}
}

// TestGRPC: a client and a server of the official library, through both sidecars as opaque bytes in mutual TLS, over one connection: what
// it needs of HTTP/2 (trailers, streams both ways at once and many of them, flow control, cancellation) is nobody's business on the way.
func TestGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	service := &shelf{gone: make(chan struct{}, 1)}
	server := grpc.NewServer()
	server.RegisterService(&shelfService, service)
	go server.Serve(l)
	t.Cleanup(server.Stop)
	p := newPair(t, l.Addr().String())
	client, err := grpc.NewClient("passthrough:///"+p.at, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	var got text
	var trailer metadata.MD
	require.NoError(t, client.Invoke(ctx, "/shop.Shelf/Take", &text{Value: "cup"}, &got, grpc.Trailer(&trailer)))
	require.Equal(t, "one cup", got.Value)
	require.Equal(t, []string{"cup"}, trailer.Get("taken"))
	err = client.Invoke(ctx, "/shop.Shelf/Take", &text{Value: "nothing"}, &got, grpc.Trailer(&trailer))
	require.Equal(t, codes.NotFound, status.Code(err))
	require.Equal(t, "there is no such thing: 100% gone\n", status.Convert(err).Message())
	require.Equal(t, []string{"nothing"}, trailer.Get("taken"), "trailers of an answer that failed")

	failed := make(chan error, 64)
	for i := range cap(failed) {
		go func() { failed <- conversation(ctx, client, i) }()
	}
	for range cap(failed) {
		require.NoError(t, <-failed)
	}

	given, giveUp := context.WithCancel(ctx)
	stream, err := client.NewStream(given, &talks, "/shop.Shelf/Talk")
	require.NoError(t, err)
	require.NoError(t, stream.SendMsg(&text{Value: "a"}))
	require.NoError(t, stream.RecvMsg(&got))
	giveUp()
	select {
	case <-service.gone:
	case <-ctx.Done():
		t.Fatal("the server never heard that the caller gave up")
	}
	require.NoError(t, conversation(ctx, client, 0), "the connection goes on after a stream of it was given up")
	require.NoError(t, client.Close())
	server.GracefulStop()
	edge := fmt.Sprintf(`destination="stock",direction="inbound",result="ok",source=%q`, p.ca.ID("orders"))
	p.stock.shows(`sidecar_tcp_connections_total{` + edge + `} 1`)
}

// conversation says and hears at the same time: what is answered does not wait until everything was said.
func conversation(ctx context.Context, client *grpc.ClientConn, seed int) error {
	const messages = 8
	stream, err := client.NewStream(ctx, &talks, "/shop.Shelf/Talk")
	if err != nil {
		return err
	}
	word := func(n int) string { return strings.Repeat(string(rune('a'+(seed+n)%26)), longText/(1+n)) }
	said := make(chan error, 1)
	go func() {
		for n := range messages {
			if err := stream.SendMsg(&text{Value: word(n)}); err != nil {
				said <- err
				return
			}
		}
		said <- stream.CloseSend()
	}()
	for n := range messages {
		var got text
		if err := stream.RecvMsg(&got); err != nil {
			return fmt.Errorf("stream %d, message %d: %w", seed, n, err)
		}
		if got.Value != strings.ToUpper(word(n)) {
			return fmt.Errorf("stream %d, message %d: %d bytes of another text", seed, n, len(got.Value))
		}
	}
	if err := <-said; err != nil {
		return err
	}
	if err := stream.RecvMsg(&text{}); err != io.EOF {
		return fmt.Errorf("stream %d: %v in place of its end", seed, err)
	}
	if heard := stream.Trailer().Get("heard"); len(heard) != 1 || heard[0] != fmt.Sprint(messages) {
		return fmt.Errorf("stream %d: trailer %v", seed, heard)
	}
	return nil
}
