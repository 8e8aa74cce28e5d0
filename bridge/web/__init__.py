"""The bridge's pages for people, and its interface for the shop's plugin."""
