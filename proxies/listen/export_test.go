package listen

// Network is network, for its table of tests.
var Network = network
