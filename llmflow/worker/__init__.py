"""Work that no request waits for: the queue of ingestion jobs, schedules, webhooks.

It calls the runtime; the server and ``llmflow worker`` run it. No HTTP is spoken here but the
calls of webhooks.
"""
