"""Pure mappings from other people's spans and chat logs to our facts; no clock, no I/O, nothing remembered between calls.

`sniff` reads a file of any known format; `otlp` reads OpenTelemetry's export requests, `spanlist` spans as JSON objects,
`chat` conversation logs. Below them, one module a dialect of attributes: `genai`, `openinference`, `traceloop`, `vercel`; and
`reported`, what one agent's message tells of its work to whoever receives it.
"""
