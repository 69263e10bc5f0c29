"""From TOML files to one checked configuration: the table of settings, layers, and who may write them."""
