package windows

// Lifetime and renewal of management identities. What the client obeys is the certificate and the Renew settings of the provisioning
// document; the policy repeats them.
const (
	identityDays = 365
	renewDays    = 60
)

const policiesTemplate = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header>` +
	`<a:Action s:mustUnderstand="1">` + actionPolicies + `</a:Action><a:RelatesTo>{{relates}}</a:RelatesTo></s:Header>` +
	`<s:Body xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema">` +
	`<GetPoliciesResponse xmlns="http://schemas.microsoft.com/windows/pki/2009/01/enrollmentpolicy"><response>` +
	`<policyID/><policyFriendlyName xsi:nil="true"/><nextUpdateHours xsi:nil="true"/><policiesNotChanged xsi:nil="true"/>` +
	`<policies><policy><policyOIDReference>0</policyOIDReference><cAs xsi:nil="true"/><attributes>` +
	`<commonName>MusterDeviceIdentity</commonName><policySchema>3</policySchema>` +
	`<certificateValidity><validityPeriodSeconds>31536000</validityPeriodSeconds><renewalPeriodSeconds>5184000</renewalPeriodSeconds></certificateValidity>` +
	`<permission><enroll>true</enroll><autoEnroll>false</autoEnroll></permission>` +
	`<privateKeyAttributes><minimalKeyLength>2048</minimalKeyLength><keySpec xsi:nil="true"/><keyUsageProperty xsi:nil="true"/>` +
	`<permissions xsi:nil="true"/><algorithmOIDReference xsi:nil="true"/>` +
	`<cryptoProviders><provider>Microsoft Platform Crypto Provider</provider><provider>Microsoft Software Key Storage Provider</provider></cryptoProviders>` +
	`</privateKeyAttributes><revision><majorRevision>101</majorRevision><minorRevision>0</minorRevision></revision>` +
	`<supersededPolicies xsi:nil="true"/><privateKeyFlags xsi:nil="true"/><subjectNameFlags xsi:nil="true"/><enrollmentFlags xsi:nil="true"/>` +
	`<generalFlags xsi:nil="true"/><hashAlgorithmOIDReference>0</hashAlgorithmOIDReference><rARequirements xsi:nil="true"/>` +
	`<keyArchivalAttributes xsi:nil="true"/><extensions xsi:nil="true"/></attributes></policy></policies></response><cAs xsi:nil="true"/>` +
	`<oIDs><oID><value>2.16.840.1.101.3.4.2.1</value><group>1</group><oIDReferenceID>0</oIDReferenceID><defaultName>szOID_NIST_sha256</defaultName></oID>` +
	`<oID><value>1.2.840.113549.1.1.1</value><group>3</group><oIDReferenceID>1</oIDReferenceID><defaultName>szOID_RSA_RSA</defaultName></oID></oIDs>` +
	`</GetPoliciesResponse></s:Body></s:Envelope>`

// policies says what key the client is to make (MS-XCEP 3.1.4.1.2): RSA of 2048 bits, in the TPM where there is one, signed with SHA-256.
func policies(e *envelope) []byte { return fill(policiesTemplate, "relates", e.messageID) }
