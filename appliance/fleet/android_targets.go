package fleet

// androidTargets are where types can go among Android devices.
var androidTargets = map[ProfileType][]Target{}
