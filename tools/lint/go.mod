// The linter, apart from the main module so that they never enter a user's module graph.
module github.com/absurdgen/absurdgen/tools/lint

go 1.26
