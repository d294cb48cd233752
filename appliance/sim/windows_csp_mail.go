package sim

import (
	"strconv"
	"strings"
)

// maxMailAccounts is how many accounts the mail provider takes.
const maxMailAccounts = 6

// acceptMail holds a value of EMAIL2 against its documentation.
func (r *dmRun) acceptMail(l pcLoc, data string) int {
	account, _ := l.account()
	if !r.d.tree.exists(account) && len(r.d.tree.children(account.parent())) >= maxMailAccounts {
		return 500
	}
	longest := map[string]int{"SERVICENAME": 32, "INSERVER": 62, "OUTSERVER": 62, "REPLYADDR": 255, "NAME": 255, "DOMAIN": 255, "AUTHNAME": 255}
	last := l.segs[len(l.segs)-1]
	if n, there := longest[last]; there && len(data) > n {
		return 500
	}
	ok := true
	switch last {
	case "ACCOUNTTYPE":
		ok = data == "Email" || data == "VVM"
	case "SERVICETYPE":
		ok = data == "IMAP4" || data == "POP3"
	case "INSERVER", "OUTSERVER":
		_, port, found := strings.Cut(data, ":")
		_, err := strconv.ParseUint(port, 10, 16)
		ok = found && err == nil
	case "REPLYADDR":
		ok = strings.Contains(data, "@")
	case "AUTHREQUIRED", "8128000B", "812C000B", "SMTPALTENABLED":
		ok = data == "0" || data == "1"
	case "DWNDAY":
		ok = data == "-1" || data == "7" || data == "14" || data == "30" || data == "90"
	case "SERVERDELETEACTION":
		ok = data == "1" || data == "2"
	}
	if !ok {
		return 500
	}
	return 200
}

// wholeMail reports whether an account has everything that it needs.
func (r *dmRun) wholeMail(account pcLoc) bool {
	for _, name := range []string{"ACCOUNTTYPE", "SERVICENAME", "SERVICETYPE", "INSERVER", "OUTSERVER", "AUTHNAME", "REPLYADDR", "SYNCINGCONTENTTYPES", "TAGPROPS"} {
		l, ok := account.child(name)
		if ok && r.d.tree.exists(l) {
			continue
		}
		if r.atomic == 0 {
			r.note("the mail account lacks " + name + "; all of it belongs into one Atomic")
		}
		return false
	}
	alt := 0
	for _, name := range []string{"SMTPALTAUTHNAME", "SMTPALTDOMAIN", "SMTPALTENABLED", "SMTPALTPASSWORD"} {
		if l, ok := account.child(name); ok && r.d.tree.exists(l) {
			alt++
		}
	}
	return alt == 0 || alt == 4
}

// acceptExchange holds a value of ActiveSync against its documentation.
func (r *dmRun) acceptExchange(l pcLoc, data string) int {
	ok := true
	switch l.segs[len(l.segs)-1] {
	case "AccountType":
		ok = data == "Exchange"
	case "EmailAddress":
		ok = strings.Contains(data, "@")
	case "ServerName":
		ok = !strings.Contains(data, "/")
	case "UseSSL", "Enabled":
		ok = data == "0" || data == "1"
	case "MailAgeFilter", "CalendarAgeFilter":
		ok = allows("0-7", data)
	case "Schedule":
		ok = allows("-1-1440", data)
	case "MailBodyType":
		ok = allows("0-4", data) || data == "HTML" || data == "plain"
	case "Logging":
		ok = allows("0-2", data)
	}
	if !ok {
		return 500
	}
	return 200
}

// wholeExchange reports whether an account has its address.
func (r *dmRun) wholeExchange(account pcLoc) bool {
	l, ok := account.child("EmailAddress")
	return ok && r.d.tree.exists(l)
}
