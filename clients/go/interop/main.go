// The interop checks of grpc-go. Each prints one line of JSON, and exits with 1 if it failed.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 4 && args[0] == "rolling":
		return rolling(args[1], args[2:])
	case len(args) == 2 && args[0] == "cancelling":
		return cancelling(args[1])
	}
	return fmt.Errorf("usage: interop rolling POLICY HOST:PORT HOST:PORT | interop cancelling HOST:PORT")
}

func report(line any) error {
	return json.NewEncoder(os.Stdout).Encode(line)
}
