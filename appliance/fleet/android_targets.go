package fleet

// androidTypes are where types can go among Android devices.
var androidTypes = map[ProfileType][]Target{}
