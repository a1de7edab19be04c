package main

import "io"

func draw(io.Writer, *outcomes, options) {}
