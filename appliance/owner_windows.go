package appliance

// giveToOwner does nothing: files inherit the rights of their directory.
func giveToOwner(string, string) error { return nil }
