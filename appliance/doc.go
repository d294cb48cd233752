// Package appliance puts Muster's parts together: configuration, listeners, routes and
// lifecycle. It owns every goroutine it starts and waits for each of them in Close.
//
// Two kinds of doors lead in. Browsers come to the public address (UI, portal,
// enrolment pages, API); devices come to the device address, the only one where a client
// certificate is asked for, so that nobody's browser shows a certificate picker. SCEP,
// revocation lists and OCSP answer on both, and over plain HTTP where --http is given,
// because verifiers do not fetch them over HTTPS.
package appliance
