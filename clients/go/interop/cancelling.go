package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ridesv1 "rides/clients/gen/rides/v1"
)

const (
	bursts       = 100
	group        = 100
	earlyCancels = 10_000
)

// cancelling cancels calls, in groups and one by one, on a connection that a stream and another caller share. Neither of
// these may fail.
func cancelling(address string) error {
	channel, err := dial("pick_first", address)
	if err != nil {
		return err
	}
	defer channel.Close()
	over, stop := context.WithCancel(context.Background())
	defer stop()

	stream, err := ridesv1.NewFleetClient(channel).Watch(over, &ridesv1.WatchFleetRequest{Viewport: helsinki()})
	if err != nil {
		return err
	}
	if _, err := stream.Recv(); err != nil {
		return err
	}
	var count tally
	var others sync.WaitGroup
	others.Go(func() { call(over, channel, &count, func() {}) })
	others.Go(func() {
		for {
			if _, err := stream.Recv(); err != nil {
				if status.Code(err) != codes.Canceled {
					count.lose(fmt.Errorf("the stream ended: %w", err))
				}
				return
			}
		}
	})

	for range bursts {
		cancelGroup(channel, &count)
	}
	for range earlyCancels {
		cancelEarly(channel, &count)
	}
	stop()
	others.Wait()
	if len(count.lost) > 0 {
		return fmt.Errorf("%d of %d were lost, first: %s", len(count.lost), count.Calls.Load(), count.lost[0])
	}
	return report(map[string]any{"cancelled": bursts*group + earlyCancels, "calls beside them": count.Calls.Load()})
}

// cancelGroup starts a group of calls and cancels them together after 2 ms.
func cancelGroup(channel *grpc.ClientConn, count *tally) {
	together, cancel := context.WithTimeout(context.Background(), 2*time.Millisecond)
	defer cancel()
	var calls sync.WaitGroup
	for range group {
		calls.Go(func() { mayBeCancelled(together, channel, count) })
	}
	calls.Wait()
}

// cancelEarly cancels one call while its request may still be in transit.
func cancelEarly(channel *grpc.ClientConn, count *tally) {
	early, cancel := context.WithCancel(context.Background())
	var call sync.WaitGroup
	call.Go(func() { mayBeCancelled(early, channel, count) })
	time.AfterFunc(50*time.Microsecond, cancel)
	call.Wait()
}

func mayBeCancelled(end context.Context, channel *grpc.ClientConn, count *tally) {
	_, err := ridesv1.NewRidesClient(channel).List(end, &ridesv1.ListRequest{RiderId: "nobody"})
	switch status.Code(err) {
	case codes.OK, codes.Canceled, codes.DeadlineExceeded:
	default:
		count.lose(err)
	}
}
