// Package interop holds no code but its tests: published Absurd clients, unchanged, against our schema.
//
// The TypeScript client comes from npm, at the version that package-lock.json pins. Without node, npm or the registry the
// tests are skipped, and say so.
package interop
