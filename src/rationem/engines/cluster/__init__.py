"""``--engine ray``: engines in actors of a Ray cluster, fed from one queue by the driver, the only writer."""
