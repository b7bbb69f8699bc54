package store

// Message is a message to the inbox of a task.
type Message struct {
	Task    ID
	Inbox   string
	Key     string // empty: none
	Payload []byte
}

// Sent is what became of a message.
type Sent string

// What can become of a message. It was stored only in the first case.
const (
	SentNew      Sent = "sent"
	SentRepeated Sent = "repeated" // the inbox has got one with its key before
	SentEnded    Sent = "ended"    // the task has ended
	SentUnknown  Sent = "unknown"  // there is no such task
)
