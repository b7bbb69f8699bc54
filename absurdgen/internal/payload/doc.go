// Package payload knows which Go types can be the payload of a step, workflow or event, and how encoding/json sees
// them. What JSON would lose without a word is a mistake here: functions, channels, bare interfaces, unexported fields,
// marshalers without their counterpart, two fields with one name.
package payload
