// Command muster is a self-hosted device-management appliance.
package main

func main() {}
