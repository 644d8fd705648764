"""Pure drawing: rows, a width and a set of signs in, lines of text with roles out. No widget, no clock, no I/O."""
