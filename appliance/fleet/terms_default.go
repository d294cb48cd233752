package fleet

import "strings"

// defaultTerms are the terms that set-up makes: a plain start, for the organisation to edit. They say only what holds for every
// device; what is collected from a kind of device and what can be done with it stands beside them on the page, from the register.
func defaultTerms(organisation, contact string) map[string]string {
	if contact == "" {
		contact = organisation
	}
	fill := func(s string) string {
		return strings.TrimSpace(strings.NewReplacer("{org}", organisation, "{contact}", contact).Replace(s))
	}
	return map[string]string{
		"en": fill(`
With this device you get access to mail and other services of {org}. In return {org} sets a few rules on it, such as a passcode, and puts its own accounts, certificates and settings on it.

What {org} can see and do is listed on this page. It cannot read your personal mail or messages, and it does not see your photos, contacts, calendar, calls or the pages you visit.

Keep the device safe. Use a passcode that nobody else knows, install updates when they are offered, and tell {contact} at once when the device is lost, stolen or in the hands of someone else.

Company data is for your work. Do not copy it to places that {org} has not approved.

When you stop working for {org}, or stop using this device for it, the accounts, certificates and settings of {org} are removed from it. If the device is your own you may also remove them yourself at any time; access to mail and other services of {org} on this device then ends.

Everything that an administrator does to your device is written in a log. You may ask {contact} what is kept about you and your device, and have it corrected.`),
		"nl": fill(`
Met dit apparaat krijgt u toegang tot e-mail en andere diensten van {org}. Daar staat tegenover dat {org} er enkele regels voor instelt, zoals een toegangscode, en er eigen accounts, certificaten en instellingen op zet.

Wat {org} kan zien en doen staat op deze pagina. {org} kan uw persoonlijke e-mail en berichten niet lezen en ziet uw foto’s, contacten, agenda, gesprekken en bezochte pagina’s niet.

Houd het apparaat veilig. Gebruik een toegangscode die niemand anders kent, installeer updates zodra ze worden aangeboden, en waarschuw {contact} meteen als het apparaat kwijt of gestolen is of in handen van een ander is gekomen.

Bedrijfsgegevens zijn voor uw werk. Kopieer ze niet naar plaatsen die {org} niet heeft goedgekeurd.

Als u niet meer voor {org} werkt, of dit apparaat er niet meer voor gebruikt, worden de accounts, certificaten en instellingen van {org} ervan verwijderd. Is het apparaat van uzelf, dan mag u ze ook op elk moment zelf verwijderen; de toegang tot e-mail en andere diensten van {org} op dit apparaat eindigt dan.

Alles wat een beheerder met uw apparaat doet, komt in een logboek te staan. U kunt {contact} vragen wat er over u en uw apparaat wordt bewaard, en dat laten verbeteren.`),
	}
}
