module github.com/absurdgen/absurdgen/tests/bench/peers

go 1.26.0

require github.com/absurdgen/absurdgen v0.0.0

replace github.com/absurdgen/absurdgen => ../../..
