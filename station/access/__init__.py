"""Who may do what at the local API and page: accounts, sessions, tokens for scripts."""
