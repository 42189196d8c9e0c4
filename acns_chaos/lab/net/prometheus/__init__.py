"""A small Prometheus: it scrapes the lab's agents and answers queries over HTTP."""
