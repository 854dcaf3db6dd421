"""What a plugin author sees: the components, the hooks, the catalog, the contract checks."""
