"""Properties of messages, for Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

NAMES = st.text(min_size=1)
BAGS = st.dictionaries(NAMES, st.none() | st.text())
