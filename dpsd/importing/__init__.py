"""Import bundles: what they hold, who signed them, what they come to, and how they are adopted."""
