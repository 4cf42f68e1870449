"""The distilled model as an HTTP endpoint on Ray Serve, its page, its client, and offline predictions."""
