package main

import (
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// dial returns a channel to addresses, with policy for load balancing and without a retry policy.
func dial(policy string, addresses ...string) (*grpc.ClientConn, error) {
	name := manual.NewBuilderWithScheme("rides")
	var state resolver.State
	for _, address := range addresses {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: address})
	}
	name.InitialState(state)
	config := fmt.Sprintf(`{"loadBalancingConfig": [{%q: {}}]}`, policy)
	return grpc.NewClient("rides:///servers",
		grpc.WithResolvers(name),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(config),
		grpc.WithNoProxy(),
	)
}
