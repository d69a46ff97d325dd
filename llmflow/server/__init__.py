"""The HTTP API: what Dify, chats and programs call, and the page people open.

Routes turn requests into calls of the runtime and its results into JSON; they hold no logic
of their own, and nothing below imports them.
"""
