package windows

import (
	"net"
	"strconv"

	"muster/appliance/fleet"
)

const (
	exchangeNode = "./User/Vendor/MSFT/ActiveSync/Accounts"
	imapNode     = "./User/Vendor/MSFT/EMAIL2/"
)

// Bounds of EMAIL2.
const (
	serviceNameMost = 32
	serverMost      = 62 // host:port
)

// emailApplies says what of a mail account Windows cannot be told: its mail accounts know neither certificates nor a sign-in page.
func emailApplies(v fleet.Values) (bool, fleet.Reason) {
	switch v.String("sign_in") {
	case "certificate":
		return false, why("windows.not-applicable.mail-certificate")
	case "oauth":
		return false, why("windows.not-applicable.mail-sign-in")
	}
	if v.String("account") == "imap" {
		for _, s := range []string{server(v, "host", "port"), server(v, "smtp_host", "smtp_port")} {
			if len(s) > serverMost {
				return false, why("windows.not-applicable.mail-host", "host", s)
			}
		}
	}
	return true, fleet.Reason{}
}

func server(v fleet.Values, host, port string) string {
	return net.JoinHostPort(v.String(host), strconv.Itoa(v.Int(port)))
}

// email renders a mail account. Both kinds feed the Mail and Calendar apps, which Microsoft ended in 2024: they show only where such an
// app is still there. The password is the person's to type.
func (r *rendering) email(p *fleet.Profile, version string) (*rendered, error) {
	v, err := fleet.Fill(p, r.order.Person)
	if err != nil {
		return nil, err
	}
	name := v.String("user_name")
	switch v.String("user_name_from") {
	case "upn":
		name = userOf(r.order.Person)
	case "mail":
		if r.order.Person != nil {
			name = r.order.Person.Mail
		}
	}
	if v.String("account") == "imap" {
		return imap(p, v, name, version), nil
	}
	return exchange(p, v, name), nil
}

// ages are MailAgeFilter's values by days of mail.
var ages = map[int]string{0: "0", 1: "1", 3: "2", 7: "3", 14: "4", 31: "5"}

// contents are the kinds of content of an Exchange account, by our setting.
var contents = []struct{ setting, guid string }{
	{"sync_mail", "c6d47067-6e92-480e-b0fc-4ba82182fac7"},
	{"sync_contacts", "0dd8685c-e272-4fcb-9ecf-2ead7ea2497b"},
	{"sync_calendars", "4a5d9fe0-f139-4a63-a5a4-4f31ceea02ad"},
	{"sync_reminders", "783ae4f6-4c12-4423-8270-66361260d4f1"},
}

// exchange renders an ActiveSync account. An Add of one that is there would delete it, so the list of accounts is asked for first. Address and user
// name cannot change: they are part of the account's id.
func exchange(p *fleet.Profile, v fleet.Values, user string) *rendered {
	id, plain := guid("exchange", string(p.ID), v.String("address"), user)
	base := exchangeNode + "/" + id
	type leaf struct {
		name, value string
		fixed       bool
	}
	leaves := []leaf{
		{"EmailAddress", v.String("address"), true}, {"UserName", user, true}, {"AccountType", "Exchange", true},
		{"ServerName", v.String("host"), false}, {"AccountName", v.String("account_name"), false},
		{"Options/UseSSL", "1", false}, {"Options/Schedule", "-1", false},
	}
	if age := ages[v.Int("days")]; age != "" {
		leaves = append(leaves, leaf{"Options/MailAgeFilter", age, false})
	}
	for _, c := range contents {
		leaves = append(leaves, leaf{"Options/ContentTypes/%7B" + c.guid + "%7D/Enabled", strconv.Itoa(choose(v.Bool(c.setting), 1, 0)), false})
	}
	add, change := command{Verb: verbAtomic}, command{Verb: verbAtomic}
	for _, l := range leaves {
		add.Kids = append(add.Kids, set(verbAdd, base+"/"+l.name, "chr", l.value))
		if !l.fixed {
			change.Kids = append(change.Kids, set(verbReplace, base+"/"+l.name, "chr", l.value))
		}
	}
	list := get(exchangeNode)
	list.OK = []int{404, 500} // no account yet
	return &rendered{
		batches: []batch{
			{Commands: []command{list}},
			{Commands: []command{change}, If: &condition{Names: "%7B" + plain + "%7D"}},
			{Commands: []command{add}, If: &condition{Names: "%7B" + plain + "%7D", Not: true}},
		},
		checks: []check{{URI: base + "/EmailAddress", Want: v.String("address")}, {URI: base + "/ServerName", Want: v.String("host")}},
		nodes:  []string{base},
	}
}

// imap renders an IMAP account. Name and kind of a service cannot be replaced, and an Add of what is there fails: each version is an
// account of its own, and the one before it is deleted in an earlier message.
func imap(p *fleet.Profile, v fleet.Values, user, version string) *rendered {
	id, _ := guid("imap", string(p.ID), version)
	base := imapNode + id
	service := []rune(v.String("account_name"))
	in, out := server(v, "host", "port"), server(v, "smtp_host", "smtp_port")
	atomic := command{Verb: verbAtomic}
	put := func(name, value string) {
		if value != "" {
			atomic.Kids = append(atomic.Kids, set(verbAdd, base+"/"+name, "chr", value))
		}
	}
	put("ACCOUNTTYPE", "Email")
	put("SERVICENAME", string(service[:min(len(service), serviceNameMost)]))
	put("SERVICETYPE", "IMAP4")
	put("INSERVER", in)
	put("OUTSERVER", out)
	put("AUTHNAME", user)
	put("AUTHREQUIRED", strconv.Itoa(choose(v.Bool("smtp_sign_in"), 1, 0)))
	put("REPLYADDR", v.String("address"))
	put("NAME", v.String("sender_name"))
	put("SYNCINGCONTENTTYPES", "2")
	put("TAGPROPS/8128000B", "1") // encrypted, both ways
	put("TAGPROPS/812C000B", "1")
	return &rendered{
		batches: []batch{{Commands: []command{del(base)}}, {Commands: []command{atomic}}},
		checks:  []check{{URI: base + "/INSERVER", Want: in}, {URI: base + "/REPLYADDR", Want: v.String("address")}},
		nodes:   []string{base},
	}
}
