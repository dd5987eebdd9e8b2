"""The organisation's identity provider: OpenID Connect, authorization code flow with PKCE."""
