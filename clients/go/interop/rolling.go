package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ridesv1 "rides/clients/gen/rides/v1"
)

const callers = 16

// tally counts calls. A call is lost when its caller sees an error.
type tally struct {
	Calls   atomic.Int64
	Streams atomic.Int64
	mutex   sync.Mutex
	lost    []string
}

func (t *tally) lose(err error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.lost = append(t.lost, err.Error())
}

// rolling calls two servers that stop and start in turn, until it is interrupted. It prints "ready" when every caller has
// had a response.
func rolling(policy string, addresses []string) error {
	channel, err := dial(policy, addresses...)
	if err != nil {
		return err
	}
	defer channel.Close()
	over, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	var count tally
	var ready, done sync.WaitGroup
	ready.Add(callers + 1)
	for range callers {
		done.Go(func() { call(over, channel, &count, sync.OnceFunc(ready.Done)) })
	}
	done.Go(func() { watch(over, channel, &count, sync.OnceFunc(ready.Done)) })
	ready.Wait()
	fmt.Println("ready")
	done.Wait()
	return report(map[string]any{"calls": count.Calls.Load(), "streams": count.Streams.Load(), "lost": count.lost})
}

// call makes one call after another.
func call(over context.Context, channel *grpc.ClientConn, count *tally, answered func()) {
	client := ridesv1.NewRidesClient(channel)
	for over.Err() == nil {
		// Not `over`: the interrupt must not cancel the last call.
		_, err := client.List(context.Background(), &ridesv1.ListRequest{RiderId: "nobody"})
		count.Calls.Add(1)
		if err != nil {
			count.lose(err)
		}
		answered()
	}
}

// watch keeps a stream open. An end with UNAVAILABLE is no loss: the server asks the client to reconnect.
func watch(over context.Context, channel *grpc.ClientConn, count *tally, answered func()) {
	client := ridesv1.NewFleetClient(channel)
	for over.Err() == nil {
		stream, err := client.Watch(over, &ridesv1.WatchFleetRequest{Viewport: helsinki()})
		if err == nil {
			_, err = stream.Recv()
		}
		count.Streams.Add(1)
		if err != nil && over.Err() == nil {
			count.lose(fmt.Errorf("a stream did not begin: %w", err))
		}
		answered()
		for err == nil {
			_, err = stream.Recv()
		}
		if code := status.Code(err); code != codes.Unavailable && over.Err() == nil {
			count.lose(fmt.Errorf("a stream did not end with UNAVAILABLE: %w", err))
		}
	}
}

func helsinki() *ridesv1.Bounds {
	return &ridesv1.Bounds{South: 60.15, West: 24.90, North: 60.19, East: 24.98}
}
