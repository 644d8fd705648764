"""Wires it together: facts come in, are ordered, stored, folded and judged; watchers ask and are answered."""
