"""From ``specs/models.yaml`` to tidy results."""
