package main

func (b *benchmark) report() string       { return "" }
func (b *benchmark) publish(string) error { return nil }
