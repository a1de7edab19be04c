// Command learn measures what is learnt from traffic, on recorded outcomes whose truth is
// known. See runs/learn.sh.
package main

func main() {}
