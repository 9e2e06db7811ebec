"""Flow between tasks: bodies, channels, events, chunks.  Uses asyncio, knows no socket and parses no HTTP."""
