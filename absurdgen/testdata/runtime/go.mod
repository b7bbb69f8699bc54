module github.com/absurdgen/absurdgen

go 1.26.0
