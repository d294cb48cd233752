// Package windows manages Windows 10 and 11 with the client that is built into them: enrolment (MS-MDE2, MS-XCEP, MS-WSTEP), OMA-DM
// sessions (MS-MDM, SyncML 1.2) over mutual TLS, configuration service providers, and wake-up calls through WNS. What is wanted of a
// device is decided by fleet; this package only says it in Windows' words and hears the answer.
//
// Rules that hold throughout, each learnt from servers that broke them:
//
//   - Answers are whole: Content-Length, never chunked, never compressed. They are written from templates, because element order,
//     prefixes and mustUnderstand matter to the client.
//   - What comes in is read by local names, with bounds on size, depth and number of elements; a document type is refused.
//   - Each SyncML command has its own CmdID, those inside Atomic too; Data is text, escaped once.
//   - ./User is spoken to only while the enrolled person is signed in; it is a channel of its own, as a Mac's users are.
//   - A profile has arrived when its nodes read back as wanted, not when the device said 200. What was delivered is kept in a
//     ledger, so that it can be read back and removed even when the profile is gone.
//   - A message that comes twice gets the same answer; the state of a session is stored, sealed, before its answer goes out.
package windows
