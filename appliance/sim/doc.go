// Package sim plays the outside parties of a device-management server: iPhones,
// iPads, Macs, PCs and Androids that enrol and obey as real ones do, and stand-ins for
// Apple's push service and certificate portal and for Google's Android Management API,
// token endpoint and Pub/Sub.
//
// It imports nothing else of this module: it reads the server's pages, profiles and
// commands with its own eyes, so that an error in our encoders cannot cancel itself
// out. Where a real iPhone refuses (a profile without PayloadVersion, an integer in
// place of a boolean, a reference that leaves its profile), it refuses too, with the
// error domain and code that Apple's devices report. Where it tolerates what a server
// had better not do, it notes a complaint in its State.
package sim
