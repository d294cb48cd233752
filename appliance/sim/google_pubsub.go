package sim

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// publisherAccount is who delivers notifications; it must be allowed to publish to the topic.
const publisherAccount = "serviceAccount:android-cloud-policy@system.gserviceaccount.com"

// pullWait is how long a pull waits for a notification.
const pullWait = 20 * time.Second

// pubsubTopic is one topic and its access policy.
type pubsubTopic struct {
	policy dict
	etag   int
}

// publisher reports whether Google's account may publish.
func (t *pubsubTopic) publisher() bool {
	for _, v := range listOf(t.policy, "bindings") {
		b, _ := v.(dict)
		if str(b, "role") == "roles/pubsub.publisher" && slices.Contains(stringList(b, "members"), publisherAccount) {
			return true
		}
	}
	return false
}

// subscription keeps what was published until it is acknowledged.
type subscription struct {
	fields   dict
	topic    string
	deadline time.Duration
	queue    []*notification
}

// notification is one message for one subscription.
type notification struct {
	id       string
	kind     string
	data     []byte
	at       time.Time
	attempts int
	ackID    string    // of the latest delivery
	lease    time.Time // until when it is not delivered again
}

// publish tells the enterprise's topic about something, when that kind is switched on. g.mu is held.
func (g *Google) publish(e *enterprise, kind string, v dict) {
	if slices.Contains(stringList(e.fields, "enabledNotificationTypes"), kind) {
		g.post(str(e.fields, "pubsubTopic"), kind, v)
	}
}

// post puts a message into every subscription of a topic. g.mu is held.
func (g *Google) post(topic, kind string, v dict) {
	if g.topics[topic] == nil || g.cond.Lost || !g.topics[topic].publisher() {
		return
	}
	var data []byte
	if v != nil {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // it was made of JSON's types
		}
		data = b
	}
	g.serial++
	id := strconv.Itoa(8000000 + g.serial)
	for _, s := range g.subs {
		if s.topic != topic {
			continue
		}
		times := 1
		if g.cond.Duplicated {
			times = 2
		}
		for range times {
			n := &notification{id: id, kind: kind, data: data, at: g.now()}
			if g.cond.Shuffled {
				s.queue = append([]*notification{n}, s.queue...)
			} else {
				s.queue = append(s.queue, n)
			}
		}
	}
	close(g.arrived)
	g.arrived = make(chan struct{})
}

// Post puts a message of the caller's own into an enterprise's topic, such as one that cannot be parsed.
func (g *Google) Post(enterprise, kind string, data []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.enterprises[enterprise]
	if e == nil {
		return
	}
	topic := str(e.fields, "pubsubTopic")
	for _, s := range g.subs {
		if s.topic == topic {
			g.serial++
			s.queue = append(s.queue, &notification{id: strconv.Itoa(8000000 + g.serial), kind: kind, data: data, at: g.now()})
		}
	}
	close(g.arrived)
	g.arrived = make(chan struct{})
}

// Unacknowledged counts the notifications that wait in all subscriptions.
func (g *Google) Unacknowledged() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, s := range g.subs {
		n += len(s.queue)
	}
	return n
}

var pubsubPath = regexp.MustCompile(`^/v1/(projects/([^/:]+)/(topics|subscriptions)/([A-Za-z][-A-Za-z0-9._~+%]{2,254}))(:([a-zA-Z]+))?$`)

// pubsub answers one call of Pub/Sub's REST interface.
func (g *Google) pubsub(r *http.Request, body dict) (dict, *googleError) {
	m := pubsubPath.FindStringSubmatch(r.URL.Path)
	if m == nil {
		return nil, refusedWith(http.StatusNotFound, "NOT_FOUND", "Method not found.")
	}
	name, project, kind, verb := m[1], m[2], m[3], m[6]
	if project != g.project {
		return nil, refusedWith(http.StatusForbidden, "PERMISSION_DENIED", "User not authorized to perform this action.")
	}
	if kind == "subscriptions" && verb == "pull" && r.Method == http.MethodPost {
		return g.pull(r, name, body)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	what := r.Method + " " + kind + ":" + verb
	g.counts.Methods["pubsub."+what]++
	switch what {
	case "PUT topics:", "POST topics:setIamPolicy", "GET topics:getIamPolicy", "PUT subscriptions:":
		if g.cond.NoTopicRole {
			return nil, refusedWith(http.StatusForbidden, "PERMISSION_DENIED", "User not authorized to perform this action.")
		}
	}
	switch what {
	case "PUT topics:":
		if g.topics[name] != nil {
			return nil, refusedWith(http.StatusConflict, "ALREADY_EXISTS", "Resource already exists in the project (resource="+name+").")
		}
		g.topics[name] = &pubsubTopic{policy: dict{}}
		return dict{"name": name}, nil
	case "PUT subscriptions:":
		return g.subscribe(name, body)
	}
	if kind == "topics" {
		return g.topicCall(what, name, body)
	}
	s := g.subs[name]
	if s == nil {
		return nil, refusedWith(http.StatusNotFound, "NOT_FOUND", "Resource not found (resource="+name+").")
	}
	ids := stringList(body, "ackIds")
	switch what {
	case "GET subscriptions:":
		v := clone(s.fields)
		v["name"], v["state"] = name, "ACTIVE"
		return v, nil
	case "DELETE subscriptions:":
		delete(g.subs, name)
		return dict{}, nil
	case "POST subscriptions:acknowledge":
		if len(ids) == 0 {
			return nil, invalid("No ack ids specified.")
		}
		s.queue = slices.DeleteFunc(s.queue, func(n *notification) bool { return n.ackID != "" && slices.Contains(ids, n.ackID) })
		return dict{}, nil
	case "POST subscriptions:modifyAckDeadline":
		seconds := wholeNumber(body["ackDeadlineSeconds"])
		if len(ids) == 0 || seconds < 0 || seconds > 600 {
			return nil, invalid("Ack ids and a deadline between 0 and 600 seconds are needed.")
		}
		for _, n := range s.queue {
			if slices.Contains(ids, n.ackID) {
				n.lease = g.now().Add(time.Duration(seconds) * time.Second)
			}
		}
		if seconds == 0 {
			close(g.arrived)
			g.arrived = make(chan struct{})
		}
		return dict{}, nil
	}
	return nil, refusedWith(http.StatusNotFound, "NOT_FOUND", "Method not found.")
}

func (g *Google) topicCall(what, name string, body dict) (dict, *googleError) {
	t := g.topics[name]
	if t == nil {
		return nil, refusedWith(http.StatusNotFound, "NOT_FOUND", "Resource not found (resource="+name+").")
	}
	switch what {
	case "GET topics:":
		return dict{"name": name}, nil
	case "DELETE topics:":
		delete(g.topics, name)
		return dict{}, nil
	case "GET topics:getIamPolicy":
		v := clone(t.policy)
		v["etag"] = base64.StdEncoding.EncodeToString([]byte(strconv.Itoa(t.etag)))
		return v, nil
	case "POST topics:setIamPolicy":
		p, ok := body["policy"].(dict)
		if !ok {
			return nil, invalid("A policy is needed.")
		}
		if e := str(p, "etag"); e != "" && e != base64.StdEncoding.EncodeToString([]byte(strconv.Itoa(t.etag))) {
			return nil, refusedWith(http.StatusConflict, "ABORTED", "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.")
		}
		t.policy = clone(p)
		delete(t.policy, "etag")
		t.etag++
		return clone(t.policy), nil
	}
	return nil, refusedWith(http.StatusNotFound, "NOT_FOUND", "Method not found.")
}

func (g *Google) subscribe(name string, body dict) (dict, *googleError) {
	if g.subs[name] != nil {
		return nil, refusedWith(http.StatusConflict, "ALREADY_EXISTS", "Resource already exists in the project (resource="+name+").")
	}
	for k := range body {
		if !oneOf(k, "topic", "ackDeadlineSeconds", "messageRetentionDuration", "expirationPolicy", "retryPolicy", "pushConfig", "filter", "enableMessageOrdering", "labels") {
			return nil, invalid("Invalid JSON payload received. Unknown name %q at 'subscription': Cannot find field.", k)
		}
	}
	topic := str(body, "topic")
	if g.topics[topic] == nil {
		return nil, refusedWith(http.StatusNotFound, "NOT_FOUND", "Resource not found (resource="+topic+").")
	}
	seconds := wholeNumber(body["ackDeadlineSeconds"])
	if seconds == 0 {
		seconds = 10
	}
	if seconds < 10 || seconds > 600 {
		return nil, invalid("ackDeadlineSeconds must be between 10 and 600.")
	}
	g.subs[name] = &subscription{fields: clone(body), topic: topic, deadline: time.Duration(seconds) * time.Second}
	v := clone(body)
	v["name"] = name
	return v, nil
}

// pull hands out what waits; when nothing does, it stays open for a while.
func (g *Google) pull(r *http.Request, name string, body dict) (dict, *googleError) {
	most := wholeNumber(body["maxMessages"])
	if most < 1 {
		return nil, invalid("maxMessages must be at least 1.")
	}
	over := time.NewTimer(pullWait)
	defer over.Stop()
	for {
		g.mu.Lock()
		s := g.subs[name]
		if s == nil {
			g.mu.Unlock()
			return nil, refusedWith(http.StatusNotFound, "NOT_FOUND", "Resource not found (resource="+name+").")
		}
		list := g.deliver(s, most)
		arrived := g.arrived
		g.mu.Unlock()
		if len(list) > 0 {
			return dict{"receivedMessages": list}, nil
		}
		if body["returnImmediately"] == true {
			return dict{}, nil
		}
		again := time.NewTimer(250 * time.Millisecond) // a lease may have run out
		select {
		case <-arrived:
		case <-again.C:
		case <-over.C:
			again.Stop()
			return dict{}, nil
		case <-r.Context().Done():
			again.Stop()
			return dict{}, nil
		case <-g.ending:
			again.Stop()
			return dict{}, nil
		}
		again.Stop()
	}
}

// deliver leases up to so many messages. g.mu is held.
func (g *Google) deliver(s *subscription, most int) []any {
	var out []any
	for _, n := range s.queue {
		if len(out) == most {
			break
		}
		if g.now().Before(n.lease) {
			continue
		}
		n.attempts++
		n.lease = g.now().Add(s.deadline)
		n.ackID = "ack-" + strings.ToLower(newUUID())
		m := dict{"messageId": n.id, "publishTime": stamp(n.at), "attributes": dict{"notificationType": n.kind}}
		if len(n.data) > 0 {
			m["data"] = base64.StdEncoding.EncodeToString(n.data)
		}
		out = append(out, dict{"ackId": n.ackID, "message": m, "deliveryAttempt": n.attempts})
	}
	return out
}
