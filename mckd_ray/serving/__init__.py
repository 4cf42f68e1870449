"""The distilled model as an HTTP endpoint on Ray Serve, its page, its client, and offline predictions."""

from mckd_ray.serving.client import AsyncClient, Client, EndpointError

__all__ = ["AsyncClient", "Client", "EndpointError"]
