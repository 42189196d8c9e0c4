"""The pet shop: the storefront over real HTTP, and the services behind it."""
