"""Key sources, which seal a credential to this device, and the root service that asks them.

A key source is one function: an HMAC under a key that never leaves its place. See docs/decisions/0017.
"""
