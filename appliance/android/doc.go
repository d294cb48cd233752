// Package android manages Android devices through Google's Android Management API: enterprise and enrolment tokens, one policy a device,
// commands, notifications over Pub/Sub and the daily comparison of lists. What is wanted of a device is decided by fleet; this package
// says it to Google and reports what Google tells of the device.
//
// A device never calls us. Its part of every exchange with fleet is played here, by a worker that takes devices from a queue: it asks fleet
// for the next order, turns it into a call to Google, and answers when Google has answered. Rules that hold throughout:
//
//   - A policy is named after the enrolment and exists before its token: Google lets a device that finds no policy reset itself.
//   - A policy that Google has taken counts as handed over; appliedPolicyVersion, told by the device, is what proves that it arrived.
//   - A command is written down before it is sent, since Google knows no request ids: after a lost answer the device's operations are looked
//     through before it is sent again. Its validity is always named, because it ends without notice.
//   - Nothing waits for the network inside a transaction or under a lock of fleet's.
//   - Notifications come twice, late and out of order. They only say which device to look at: what is believed is the device as Google
//     shows it when asked.
//   - One limiter holds all calls below Google's quota. Orders go before policies, and policies before reading.
//   - No password is ever part of a policy. The key of an identity is, where an administrator chose to send it: they were told that it passes
//     through Google.
package android
