package db

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is one numbered file of migrations: 0020_workers.sql has version 20 and the name workers.
type migration struct {
	version  int
	name     string
	sql      string
	checksum string
}

// loadMigrations reads the numbered files of fsys in the order of their numbers. Two files with one number are an error.
func loadMigrations(fsys fs.FS) ([]migration, error) {
	files, err := fs.Glob(fsys, "migrations/*.sql")
	if err != nil {
		return nil, fmt.Errorf("db: list migrations: %w", err)
	}
	migrations := make([]migration, 0, len(files))
	for _, file := range files { // sorted by Glob, and the numbers have four digits
		base := strings.TrimSuffix(strings.TrimPrefix(file, "migrations/"), ".sql")
		number, name, ok := strings.Cut(base, "_")
		version, err := strconv.Atoi(number)
		if !ok || err != nil || len(number) != 4 || version < 1 || name == "" {
			return nil, fmt.Errorf("db: migration %s: name it like 0020_workers.sql", file)
		}
		if n := len(migrations); n > 0 && migrations[n-1].version == version {
			return nil, fmt.Errorf("db: migrations %s and %s have the same number", migrations[n-1], base)
		}
		text, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, fmt.Errorf("db: read migration: %w", err)
		}
		sum := sha256.Sum256(text)
		migrations = append(migrations, migration{version: version, name: name, sql: string(text), checksum: hex.EncodeToString(sum[:])})
	}
	return migrations, nil
}

// String gives the number and name as in the file's name: 0020_workers.
func (m migration) String() string { return fmt.Sprintf("%04d_%s", m.version, m.name) }
