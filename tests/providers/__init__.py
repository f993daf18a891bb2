"""Servers that speak the APIs of hosted providers, as their documentation describes them."""
