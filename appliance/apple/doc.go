// Package apple speaks Apple's MDM protocol with iPhones, iPads and Macs: it makes the enrolment
// profile, answers check-ins and command requests, renders profiles and commands, reads results
// back, and pushes through APNs. What is wanted of a device is decided by fleet; this package only
// says it in Apple's words and hears the answer.
//
// Rules that hold throughout, each learnt from servers that broke them:
//
//   - A device is never answered 401: it would take it as "you are no longer managed". Trouble is 400
//     or 500, at which a device gives up until the next push. 403 with
//     com.apple.unrecognized.device is said only when fleet is sure that the enrolment has ended.
//   - "Nothing to do" is 200 with Content-Length 0.
//   - References between payloads resolve inside one profile only, so e-mail, its identity and the
//     roots travel as one profile. On a Mac e-mail exists only in a person's channel: there it travels
//     with its identity, and the roots lie in the system keychain, which every user trusts.
//   - Inner PayloadUUIDs come from profile id and role and never change; the top-level PayloadUUID
//     changes with the unit's version, and ProfileList gives it back: that is the proof of delivery.
package apple
