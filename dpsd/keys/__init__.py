"""What seals a credential to this device: key sources, and the root service that asks them.

A key source is one function, an HMAC under a key that stays where it is. See docs/decisions/0017.
"""
