"""The local HTTP API and page: a server, one application, its routes (api, sim, pages) and its door."""
